/* Ed25519, SipHash-2-4, guarded memory and randomness. The wrappers take untyped memory, as Swift
   lends it. */
#include <sodium.h>

static inline int novate_sign(const void *message, size_t count, const void *secret,
                              void *signature) {
  return crypto_sign_detached((unsigned char *)signature, NULL, (const unsigned char *)message,
                              count, (const unsigned char *)secret);
}

static inline int novate_verify(const void *signature, const void *message, size_t count,
                                const void *key) {
  return crypto_sign_verify_detached((const unsigned char *)signature,
                                     (const unsigned char *)message, count,
                                     (const unsigned char *)key);
}

static inline int novate_seed_keypair(void *key, void *secret, const void *seed) {
  return crypto_sign_seed_keypair((unsigned char *)key, (unsigned char *)secret,
                                  (const unsigned char *)seed);
}

static inline int novate_keypair(void *key, void *secret) {
  return crypto_sign_keypair((unsigned char *)key, (unsigned char *)secret);
}

/* 0 when the encoding decodes to a point of the curve, whatever its order. */
static inline int novate_on_curve(const void *point) {
  unsigned char sum[crypto_core_ed25519_BYTES];
  return crypto_core_ed25519_add(sum, (const unsigned char *)point, (const unsigned char *)point);
}

static inline int novate_siphash(const void *bytes, size_t count, const void *key, void *out) {
  return crypto_shorthash((unsigned char *)out, (const unsigned char *)bytes, count,
                          (const unsigned char *)key);
}
