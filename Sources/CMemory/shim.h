/* What Swift has no word for: a hint to the kernel and one to the processor, and sixteen bytes
   compared at once. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Asks for huge pages behind the whole pages of a piece of memory, before it is written for the
   first time. A hint: where the kernel has none to give, nothing changes. */
static inline void novate_ask_huge_pages(void *address, size_t count) {
  const uintptr_t page = 4096;
  uintptr_t first = ((uintptr_t)address + page - 1) & ~(page - 1);
  uintptr_t last = ((uintptr_t)address + count) & ~(page - 1);
  if (last > first) (void)madvise((void *)first, last - first, MADV_HUGEPAGE);
}

/* Asks for a piece of memory that will be read soon. It reads nothing and can stop nothing. */
static inline void novate_prefetch(const void *address) { __builtin_prefetch(address); }

/* A bit for each of the first twelve bytes that equals `tag`, the first byte's lowest. `line` has
   sixteen bytes. In two words, for every machine: a byte is zero where it was equal, and no carry
   leaves a byte, so each bit is exact. */
static inline uint32_t novate_equal_tags_in_words(const void *line, uint8_t tag) {
  const uint64_t lows = 0x7F7F7F7F7F7F7F7F;
  uint64_t words[2];
  uint32_t found = 0;
  memcpy(words, line, sizeof words);
  for (int half = 0; half < 2; half++) {
    uint64_t different = words[half] ^ 0x0101010101010101 * tag;
    uint64_t zero = ~(((different & lows) + lows) | different | lows) >> 7;
    found |= (uint32_t)(zero * 0x0102040810204080 >> 56) << 8 * half;
  }
  return found & 0xFFF;
}

/* The same at once, where the machine can; `line` is aligned to its sixteen bytes. */
static inline uint32_t novate_equal_tags(const void *line, uint8_t tag) {
#if defined(__SSE2__)
  __m128i bytes = _mm_load_si128((const __m128i *)line);
  __m128i equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)tag));
  return (uint32_t)_mm_movemask_epi8(equal) & 0xFFF;
#else
  return novate_equal_tags_in_words(line, tag);
#endif
}
