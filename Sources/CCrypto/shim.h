/* SHA-256 only. The low-level calls keep SHA-NI and avoid the algorithm fetch of OpenSSL 3. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns 1, as the calls of libcrypto do, or 0 on failure. */

/* SHA-256 of one piece. */
static inline int novate_sha256(const void *bytes, size_t count, void *out) {
  SHA256_CTX context;
  return SHA256_Init(&context) && SHA256_Update(&context, bytes, count) &&
         SHA256_Final((unsigned char *)out, &context);
}

/* Ends a digest and begins the context anew. */
static inline int novate_sha256_finish(SHA256_CTX *context, void *out) {
  return SHA256_Final((unsigned char *)out, context) && SHA256_Init(context);
}

/* SHA-256 of 64 bytes: an inner node in the manner of SSZ. The second block, all padding, is known
   beforehand, so both go straight to the compression function: a tenth faster than Update. */
static inline int novate_sha256_pair(const void *pair, void *out) {
  static const unsigned char padding[64] = {[0] = 0x80, [62] = 0x02};
  SHA256_CTX context;
  if (!SHA256_Init(&context)) return 0;
  SHA256_Transform(&context, (const unsigned char *)pair);
  SHA256_Transform(&context, padding);
  unsigned char *bytes = (unsigned char *)out;
  for (int i = 0; i < 8; i++) {
    bytes[4 * i] = (unsigned char)(context.h[i] >> 24);
    bytes[4 * i + 1] = (unsigned char)(context.h[i] >> 16);
    bytes[4 * i + 2] = (unsigned char)(context.h[i] >> 8);
    bytes[4 * i + 3] = (unsigned char)context.h[i];
  }
  return 1;
}

/* SHA-256(0x01 || left || right): an inner node in the manner of RFC 6962. */
static inline int novate_sha256_node(const void *left, const void *right, void *out) {
  static const unsigned char prefix = 1;
  SHA256_CTX context;
  return SHA256_Init(&context) && SHA256_Update(&context, &prefix, 1) &&
         SHA256_Update(&context, left, 32) && SHA256_Update(&context, right, 32) &&
         SHA256_Final((unsigned char *)out, &context);
}

/* parents[i] = SHA-256(children[2i] || children[2i + 1]) for the `count` indices given: one call a
   level of a tree. Looks a few pairs ahead, because random leaves miss the cache; a pair may lie
   across two lines. */
static inline int novate_sha256_level(const void *children, void *parents, const uint32_t *indices,
                                      size_t count) {
  const unsigned char *from = (const unsigned char *)children;
  unsigned char *to = (unsigned char *)parents;
  for (size_t k = 0; k < count; k++) {
    if (k + 6 < count) {
      __builtin_prefetch(from + (size_t)indices[k + 6] * 64);
      __builtin_prefetch(from + (size_t)indices[k + 6] * 64 + 63);
      __builtin_prefetch(to + (size_t)indices[k + 6] * 32, 1);
    }
    size_t i = indices[k];
    if (!novate_sha256_pair(from + i * 64, to + i * 32)) return 0;
  }
  return 1;
}
