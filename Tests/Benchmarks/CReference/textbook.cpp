// TEXTBOOK, the calibrator of NM-1 written as a textbook writes it: an ordered map of prices, a
// linked list of orders at each, a hash map from id to place. The standard library's own.
#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <unordered_map>

#include "matching.h"

namespace {

struct Order {
  uint64_t id;
  int64_t price;
  uint32_t remaining;
  uint8_t side;
};

struct Fold {
  uint64_t value = 0;
  uint64_t trades = 0;

  void add(uint64_t maker, uint64_t taker, int64_t price, uint32_t quantity) {
    uint64_t h = value;
    h ^= maker * 0x9E3779B97F4A7C15u;
    h = h << 23 | h >> 41;
    h ^= taker * 0xBF58476D1CE4E5B9u;
    h = h << 23 | h >> 41;
    h ^= static_cast<uint64_t>(price) * 0x94D049BB133111EBu + quantity;
    value = h * 0xD6E8FEB86659FD93u;
    trades += 1;
  }
};

using Queue = std::list<Order>;
using Bids = std::map<int64_t, Queue, std::greater<int64_t>>;
using Asks = std::map<int64_t, Queue>;

class Book {
 public:
  void apply(const reference_operation &operation, Fold &fold) {
    if (operation.kind == 1) {
      cancel(operation.id);
    } else if (operation.side == 0) {
      place(operation, asks_, bids_, [&](int64_t best) { return best <= operation.price; }, fold);
    } else {
      place(operation, bids_, asks_, [&](int64_t best) { return best >= operation.price; }, fold);
    }
  }

  uint64_t resting() const { return places_.size(); }

 private:
  template <typename Side>
  void erase(Side &side, Queue::iterator order) {
    auto level = side.find(order->price);
    level->second.erase(order);
    if (level->second.empty()) side.erase(level);
  }

  void cancel(uint64_t id) {
    auto found = places_.find(id);
    if (found == places_.end()) return;
    auto order = found->second;
    places_.erase(found);
    if (order->side == 0) {
      erase(bids_, order);
    } else {
      erase(asks_, order);
    }
  }

  template <typename Opposite, typename Own, typename Crosses>
  void place(
      const reference_operation &operation, Opposite &opposite, Own &own, Crosses crosses,
      Fold &fold) {
    uint32_t left = operation.quantity;
    while (left > 0 && !opposite.empty()) {
      auto level = opposite.begin();
      if (!crosses(level->first)) break;
      Queue &queue = level->second;
      while (left > 0 && !queue.empty()) {
        Order &maker = queue.front();
        uint32_t size = std::min(left, maker.remaining);
        fold.add(maker.id, operation.id, level->first, size);
        left -= size;
        maker.remaining -= size;
        if (maker.remaining == 0) {
          places_.erase(maker.id);
          queue.pop_front();
        }
      }
      if (queue.empty()) opposite.erase(level);
    }
    if (operation.kind == 0 && left > 0) {
      Queue &queue = own[operation.price];
      queue.push_back(Order{operation.id, operation.price, left, operation.side});
      places_.emplace(operation.id, std::prev(queue.end()));
    }
  }

  Bids bids_;
  Asks asks_;
  std::unordered_map<uint64_t, Queue::iterator> places_;
};

}  // namespace

extern "C" reference_result reference_textbook(
    const reference_operation *operations, size_t count) {
  Book book;
  Fold fold;
  for (size_t index = 0; index < count; index += 1) book.apply(operations[index], fold);
  return reference_result{fold.trades, fold.value, book.resting()};
}
