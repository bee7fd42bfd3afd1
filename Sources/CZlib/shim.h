#include <zlib.h>

/* A macro of zlib that Swift cannot call: a stream that expects a gzip header and trailer. */
static inline int novate_gunzip_begin(z_stream *stream) {
  return inflateInit2(stream, 16 + MAX_WBITS);
}
