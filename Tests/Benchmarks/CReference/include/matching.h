// The two calibrators of workload NM-1, one book each: what `novate bench matching` divides by.
#ifndef NOVATE_REFERENCE_MATCHING_H
#define NOVATE_REFERENCE_MATCHING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// An operation of NM-1 in its own encoding, 24 bytes.
struct reference_operation {
  uint8_t kind;  // 0 limit, 1 cancel, 2 immediate or cancel
  uint8_t side;  // 0 buy, 1 sell
  uint16_t account;
  uint32_t quantity;
  uint64_t id;
  int64_t price;
};

struct reference_result {
  uint64_t trades;
  uint64_t fold;
  uint64_t resting;
};

// TEXTBOOK: std::map from price to std::list of orders, std::unordered_map from id to position.
struct reference_result reference_textbook(const struct reference_operation *operations, size_t count);

// LADDER: an array of levels by price with a two-level bitmap a side, intrusive lists through a
// pool by id of 16 bytes an order. `id_count` ids, prices from `price_low` on, at most 2^18 of
// them. Memory is made by `reference_ladder_make`, outside the timed part.
struct reference_ladder;
struct reference_ladder *reference_ladder_make(uint64_t id_count, int64_t price_low);
struct reference_result reference_ladder_run(
    struct reference_ladder *ladder, const struct reference_operation *operations, size_t count);
void reference_ladder_free(struct reference_ladder *ladder);

// Reads of the processor's own counter, and how many a second there are.
static inline uint64_t reference_ticks(void) {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t value;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#else
#error "a cycle counter is needed here"
#endif
}

#ifdef __cplusplus
}
#endif
#endif
