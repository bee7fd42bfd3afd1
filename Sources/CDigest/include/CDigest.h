/* SHA-256 (FIPS 180-4) of many short messages, two at a time.

   One message keeps a processor's SHA unit half idle: each of its instructions waits for the one
   before. Two messages side by side do not, so that a tree of hashes takes about half the time that
   one call of a library after the other takes. Only for processors with the SHA extensions of x86:
   each function returns 0, having done nothing, where there are none, and 1 when it is done. */
#include <stddef.h>
#include <stdint.h>

/* parents[i] = SHA-256(children[2i] || children[2i + 1]) for the `count` indices given. */
int novate_lanes_level(const void *children, void *parents, const uint32_t *indices, size_t count);

/* out[i] = SHA-256 of message i of `count`, bytes[bounds[2i]] up to before bytes[bounds[2i + 1]]. */
int novate_lanes_messages(const void *bytes, const size_t *bounds, size_t count, void *out);

/* out[i] = SHA-256(prefix || record i) of `count` records of `size` bytes. */
int novate_lanes_records(const void *bytes, size_t size, size_t count, uint8_t prefix, void *out);
