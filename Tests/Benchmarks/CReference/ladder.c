// LADDER, the calibrator of NM-1 that knows its workload: prices lie in a known window, ids are
// dense and never reused, nothing is allocated while it runs.
#include <stdlib.h>
#include <string.h>

#include "matching.h"

enum { PRICES = 1 << 18, WORDS = PRICES / 64, SUMMARY = WORDS / 64 };

// 16 bytes an order. The price's place and the side share a word.
struct order {
  uint32_t next;
  uint32_t previous;
  uint32_t remaining;
  uint32_t place;
};

struct level {
  uint32_t head;
  uint32_t tail;
};

struct ladder_side {
  struct level levels[PRICES];
  uint64_t words[WORDS];
  uint64_t summary[SUMMARY];
  // Best place; -1 for none.
  int64_t best;
};

struct reference_ladder {
  struct ladder_side sides[2];
  int64_t low;
  uint64_t resting;
  uint64_t id_count;
  struct order *orders;
};

struct reference_ladder *reference_ladder_make(uint64_t id_count, int64_t price_low) {
  struct reference_ladder *ladder = calloc(1, sizeof *ladder);
  if (!ladder) return NULL;
  ladder->orders = malloc((id_count + 1) * sizeof *ladder->orders);
  if (!ladder->orders) {
    free(ladder);
    return NULL;
  }
  // Touched now, so that no page fault is timed.
  memset(ladder->orders, 0, (id_count + 1) * sizeof *ladder->orders);
  ladder->low = price_low;
  ladder->id_count = id_count;
  ladder->sides[0].best = -1;
  ladder->sides[1].best = -1;
  return ladder;
}

void reference_ladder_free(struct reference_ladder *ladder) {
  if (ladder) free(ladder->orders);
  free(ladder);
}

static inline int64_t highest_at_most(const struct ladder_side *side, int64_t place) {
  if (place < 0) return -1;
  int64_t word = place >> 6;
  uint64_t bits = side->words[word] & (~(uint64_t)0 >> (63 - (place & 63)));
  if (bits) return word << 6 | (63 - __builtin_clzll(bits));
  int64_t row = word >> 6;
  uint64_t above = (word & 63) ? side->summary[row] & (~(uint64_t)0 >> (64 - (word & 63))) : 0;
  while (!above) {
    if (--row < 0) return -1;
    above = side->summary[row];
  }
  word = row << 6 | (63 - __builtin_clzll(above));
  return word << 6 | (63 - __builtin_clzll(side->words[word]));
}

static inline int64_t lowest_at_least(const struct ladder_side *side, int64_t place) {
  if (place >= PRICES) return -1;
  int64_t word = place >> 6;
  uint64_t bits = side->words[word] & (~(uint64_t)0 << (place & 63));
  if (bits) return word << 6 | __builtin_ctzll(bits);
  int64_t row = word >> 6;
  uint64_t above =
      (word & 63) < 63 ? side->summary[row] & (~(uint64_t)0 << ((word & 63) + 1)) : 0;
  while (!above) {
    if (++row >= SUMMARY) return -1;
    above = side->summary[row];
  }
  word = row << 6 | __builtin_ctzll(above);
  return word << 6 | __builtin_ctzll(side->words[word]);
}

static inline void empty(struct ladder_side *side, int64_t place, int is_buy) {
  int64_t word = place >> 6;
  side->words[word] &= ~((uint64_t)1 << (place & 63));
  if (!side->words[word]) side->summary[word >> 6] &= ~((uint64_t)1 << (word & 63));
  if (side->best == place) {
    side->best = is_buy ? highest_at_most(side, place - 1) : lowest_at_least(side, place + 1);
  }
}

static inline void rest(
    struct reference_ladder *ladder, const struct reference_operation *operation, uint32_t left) {
  struct ladder_side *side = &ladder->sides[operation->side];
  int64_t place = operation->price - ladder->low;
  uint32_t id = (uint32_t)operation->id;
  struct level *level = &side->levels[place];
  struct order *order = &ladder->orders[id];
  order->next = 0;
  order->previous = level->tail;
  order->remaining = left;
  order->place = (uint32_t)place << 1 | operation->side;
  if (level->tail) {
    ladder->orders[level->tail].next = id;
  } else {
    level->head = id;
    side->words[place >> 6] |= (uint64_t)1 << (place & 63);
    side->summary[place >> 12] |= (uint64_t)1 << (place >> 6 & 63);
    if (side->best < 0 || (operation->side == 0 ? place > side->best : place < side->best)) {
      side->best = place;
    }
  }
  level->tail = id;
  ladder->resting += 1;
}

static inline void cancel(struct reference_ladder *ladder, uint64_t id) {
  struct order *order = &ladder->orders[id];
  if (!order->remaining) return;
  struct ladder_side *side = &ladder->sides[order->place & 1];
  int64_t place = order->place >> 1;
  struct level *level = &side->levels[place];
  if (order->previous) {
    ladder->orders[order->previous].next = order->next;
  } else {
    level->head = order->next;
  }
  if (order->next) {
    ladder->orders[order->next].previous = order->previous;
  } else {
    level->tail = order->previous;
  }
  if (!level->head) empty(side, place, !(order->place & 1));
  order->remaining = 0;
  ladder->resting -= 1;
}

struct reference_result reference_ladder_run(
    struct reference_ladder *ladder, const struct reference_operation *operations, size_t count) {
  uint64_t h = 0;
  uint64_t trades = 0;
  for (size_t index = 0; index < count; index += 1) {
    const struct reference_operation *operation = &operations[index];
    if (operation->kind == 1) {
      cancel(ladder, operation->id);
      continue;
    }
    int is_buy = operation->side == 0;
    struct ladder_side *other = &ladder->sides[is_buy];
    int64_t limit = operation->price - ladder->low;
    uint32_t left = operation->quantity;
    while (left && other->best >= 0 && (is_buy ? other->best <= limit : other->best >= limit)) {
      struct level *level = &other->levels[other->best];
      uint32_t id = level->head;
      struct order *maker = &ladder->orders[id];
      uint32_t size = left < maker->remaining ? left : maker->remaining;
      h ^= id * 0x9E3779B97F4A7C15u;
      h = h << 23 | h >> 41;
      h ^= operation->id * 0xBF58476D1CE4E5B9u;
      h = h << 23 | h >> 41;
      h ^= (uint64_t)(other->best + ladder->low) * 0x94D049BB133111EBu + size;
      h *= 0xD6E8FEB86659FD93u;
      trades += 1;
      left -= size;
      maker->remaining -= size;
      if (!maker->remaining) {
        level->head = maker->next;
        ladder->resting -= 1;
        if (maker->next) {
          ladder->orders[maker->next].previous = 0;
        } else {
          level->tail = 0;
          empty(other, other->best, !is_buy);
        }
      }
    }
    if (left && operation->kind == 0) rest(ladder, operation, left);
  }
  return (struct reference_result){trades, h, ladder->resting};
}
