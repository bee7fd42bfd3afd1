#include "CDigest.h"
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1")))
/* Into its caller, so that the number of lanes is known and both stay in registers. */
#define INSIDE static inline __attribute__((target("sha,sse4.1"), always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

/* K of FIPS 180-4, 4.2.2. */
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* K plus the schedule of the block behind a message of 64 bytes, which is all padding. */
static const uint32_t padding[64] __attribute__((aligned(16))) = {
    0xc28a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf374,
    0x649b69c1, 0xf0fe4786, 0x0fe1edc6, 0x240cf254, 0x4fe9346f, 0x6cc984be, 0x61b9411e, 0x16f988fa,
    0xf2c65152, 0xa88e5a6d, 0xb019fc65, 0xb9d99ec7, 0x9a1231c3, 0xe70eeaa0, 0xfdb1232b, 0xc7353eb0,
    0x3069bad5, 0xcb976d5f, 0x5a0f118f, 0xdc1eeefd, 0x0a35b689, 0xde0b7a04, 0x58f4ca9d, 0xe15d5b16,
    0x007f3e86, 0x37088980, 0xa507ea32, 0x6fab9537, 0x17406110, 0x0d8cd6f1, 0xcdaa3b6d, 0xc0bbbe37,
    0x83613bda, 0xdb48a363, 0x0b02e931, 0x6fd15ca7, 0x521afaca, 0x31338431, 0x6ed41a95, 0x6d437890,
    0xc39c91f2, 0x9eccabbd, 0xb5c9a0e6, 0x532fb63c, 0xd2c741c6, 0x07237ea3, 0xa4954b68, 0x4c191d76,
};

/* H(0) of FIPS 180-4, 5.3.3. */
static const uint32_t start[8] __attribute__((aligned(16))) = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* Two running digests, in the order the instructions want: A B E F and C D G H. */
typedef struct {
  __m128i abef[2];
  __m128i cdgh[2];
} lanes;

static int has_sha(void) {
  static int known = -1;
  int found = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (found < 0) {
    unsigned a, b, c, d;
    found = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29) &&
            __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1);
    __atomic_store_n(&known, found, __ATOMIC_RELAXED);
  }
  return found;
}

INSIDE lanes begin(void) {
  __m128i dcba = _mm_load_si128((const __m128i *)start);
  __m128i hgfe = _mm_load_si128((const __m128i *)start + 1);
  __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1);
  __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1B);
  lanes s;
  for (int l = 0; l < 2; l++) {
    s.abef[l] = _mm_alignr_epi8(cdab, efgh, 8);
    s.cdgh[l] = _mm_blend_epi16(efgh, cdab, 0xF0);
  }
  return s;
}

/* Four rounds of lane `l` with four words of schedule plus constants. */
INSIDE void four_rounds(lanes *s, int l, __m128i words) {
  s->cdgh[l] = _mm_sha256rnds2_epu32(s->cdgh[l], s->abef[l], words);
  s->abef[l] = _mm_sha256rnds2_epu32(s->abef[l], s->cdgh[l], _mm_shuffle_epi32(words, 0x0E));
}

INSIDE void add(lanes *s, const lanes *before, int count) {
  for (int l = 0; l < count; l++) {
    s->abef[l] = _mm_add_epi32(s->abef[l], before->abef[l]);
    s->cdgh[l] = _mm_add_epi32(s->cdgh[l], before->cdgh[l]);
  }
}

/* One block of the first `count` lanes. */
INSIDE void compress(lanes *s, const uint8_t *const block[2], int count) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const lanes before = *s;
  __m128i w[2][4];
  for (int l = 0; l < count; l++)
    for (int i = 0; i < 4; i++) {
      __m128i bytes = _mm_loadu_si128((const __m128i *)block[l] + i);
      w[l][i] = _mm_shuffle_epi8(bytes, big_endian);
    }
  UNROLLED for (int i = 0; i < 16; i++) {
    const __m128i k = _mm_load_si128((const __m128i *)constants + i);
    for (int l = 0; l < count; l++) {
      __m128i *now = &w[l][i & 3];
      if (i >= 4) {
        const __m128i next = w[l][(i + 1) & 3], last = w[l][(i + 3) & 3];
        __m128i sum = _mm_sha256msg1_epu32(*now, next);
        sum = _mm_add_epi32(sum, _mm_alignr_epi8(last, w[l][(i + 2) & 3], 4));
        *now = _mm_sha256msg2_epu32(sum, last);
      }
      four_rounds(s, l, _mm_add_epi32(*now, k));
    }
  }
  add(s, &before, count);
}

/* The block behind a message of 64 bytes. */
INSIDE void compress_padding(lanes *s, int count) {
  const lanes before = *s;
  UNROLLED for (int i = 0; i < 16; i++) {
    const __m128i words = _mm_load_si128((const __m128i *)padding + i);
    for (int l = 0; l < count; l++) four_rounds(s, l, words);
  }
  add(s, &before, count);
}

INSIDE void finish(const lanes *s, int l, void *out) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i feba = _mm_shuffle_epi32(s->abef[l], 0x1B);
  __m128i dchg = _mm_shuffle_epi32(s->cdgh[l], 0xB1);
  __m128i dcba = _mm_blend_epi16(feba, dchg, 0xF0);
  __m128i hgfe = _mm_alignr_epi8(dchg, feba, 8);
  _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(dcba, big_endian));
  _mm_storeu_si128((__m128i *)out + 1, _mm_shuffle_epi8(hgfe, big_endian));
}

/* SHA-256 of `count` pairs of 32 bytes, one or two. */
INSIDE void hash_pairs(const uint8_t *const from[2], uint8_t *const to[2],
                                       int count) {
  lanes s = begin();
  compress(&s, from, count);
  compress_padding(&s, count);
  for (int l = 0; l < count; l++) finish(&s, l, to[l]);
}

WITH_SHA int novate_lanes_level(const void *children, void *parents, const uint32_t *indices,
                                size_t count) {
  if (!has_sha()) return 0;
  const uint8_t *from = children;
  uint8_t *to = parents;
  size_t k = 0;
  for (; k + 1 < count; k += 2) {
    /* Random leaves miss the cache; a pair may lie across two lines. */
    for (size_t ahead = k + 12; ahead < k + 14 && ahead < count; ahead++) {
      __builtin_prefetch(from + (size_t)indices[ahead] * 64);
      __builtin_prefetch(from + (size_t)indices[ahead] * 64 + 63);
      __builtin_prefetch(to + (size_t)indices[ahead] * 32, 1);
    }
    const size_t a = indices[k], b = indices[k + 1];
    hash_pairs((const uint8_t *const[2]){from + a * 64, from + b * 64},
               (uint8_t *const[2]){to + a * 32, to + b * 32}, 2);
  }
  if (k < count) {
    const size_t a = indices[k];
    hash_pairs((const uint8_t *const[2]){from + a * 64, NULL},
               (uint8_t *const[2]){to + a * 32, NULL}, 1);
  }
  return 1;
}

/* A message: what stands before it, if anything, and its bytes. */
typedef struct {
  const uint8_t *bytes;
  size_t size;
  int prefix;
} message;

static inline size_t length(message m) { return m.size + (m.prefix >= 0); }
static inline size_t blocks(message m) { return (length(m) + 8) / 64 + 1; }

/* Block `k` of a message: where it stands, or, with prefix or padding, put together in `room`. */
static inline const uint8_t *block(message m, size_t k, uint8_t room[64]) {
  const size_t shift = m.prefix >= 0, first = 64 * k;
  if (!shift && first + 64 <= m.size) return m.bytes + first;
  memset(room, 0, 64);
  size_t place = 0;
  if (shift && k == 0) room[place++] = (uint8_t)m.prefix;
  const size_t from = first + place - shift;
  const size_t left = from < m.size ? m.size - from : 0;
  const size_t taken = left < 64 - place ? left : 64 - place;
  if (taken) memcpy(room + place, m.bytes + from, taken);
  const size_t end = length(m);
  if (end >= first && end < first + 64) room[end - first] = 0x80;
  if (k + 1 == blocks(m))
    for (int i = 0; i < 8; i++) room[56 + i] = (uint8_t)((uint64_t)end * 8 >> (56 - 8 * i));
  return room;
}

/* Two messages as far as both reach, then the longer one alone. */
static WITH_SHA void hash_two(const message m[2], uint8_t *const to[2]) {
  uint8_t room[2][64];
  lanes s = begin();
  const size_t first = blocks(m[0]), second = blocks(m[1]);
  const size_t both = first < second ? first : second;
  size_t k = 0;
  for (; k < both; k++)
    compress(&s, (const uint8_t *const[2]){block(m[0], k, room[0]), block(m[1], k, room[1])}, 2);
  finish(&s, 0, to[0]);
  finish(&s, 1, to[1]);
  const int longer = first < second;
  if (first == second) return;
  s.abef[0] = s.abef[longer];
  s.cdgh[0] = s.cdgh[longer];
  for (; k < blocks(m[longer]); k++)
    compress(&s, (const uint8_t *const[2]){block(m[longer], k, room[0]), NULL}, 1);
  finish(&s, 0, to[longer]);
}

static WITH_SHA void hash_one(message m, uint8_t *to) {
  uint8_t room[64];
  lanes s = begin();
  for (size_t k = 0; k < blocks(m); k++)
    compress(&s, (const uint8_t *const[2]){block(m, k, room), NULL}, 1);
  finish(&s, 0, to);
}

static inline message slice(const uint8_t *bytes, const size_t *bounds, size_t k) {
  return (message){bytes + bounds[2 * k], bounds[2 * k + 1] - bounds[2 * k], -1};
}

int novate_lanes_messages(const void *bytes, const size_t *bounds, size_t count, void *out) {
  if (!has_sha()) return 0;
  uint8_t *to = out;
  size_t k = 0;
  for (; k + 1 < count; k += 2) {
    const message two[2] = {slice(bytes, bounds, k), slice(bytes, bounds, k + 1)};
    hash_two(two, (uint8_t *const[2]){to + 32 * k, to + 32 * k + 32});
  }
  if (k < count) hash_one(slice(bytes, bounds, k), to + 32 * k);
  return 1;
}

int novate_lanes_records(const void *bytes, size_t size, size_t count, uint8_t prefix, void *out) {
  if (!has_sha()) return 0;
  const uint8_t *from = bytes;
  uint8_t *to = out;
  size_t k = 0;
  for (; k + 1 < count; k += 2) {
    const message two[2] = {{from + k * size, size, prefix}, {from + (k + 1) * size, size, prefix}};
    hash_two(two, (uint8_t *const[2]){to + 32 * k, to + 32 * k + 32});
  }
  if (k < count) hash_one((message){from + k * size, size, prefix}, to + 32 * k);
  return 1;
}

#else

int novate_lanes_level(const void *children, void *parents, const uint32_t *indices, size_t count) {
  return 0;
}
int novate_lanes_messages(const void *bytes, const size_t *bounds, size_t count, void *out) {
  return 0;
}
int novate_lanes_records(const void *bytes, size_t size, size_t count, uint8_t prefix, void *out) {
  return 0;
}
#endif
