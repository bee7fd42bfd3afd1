/* SHA-256 only. The low-level calls keep SHA-NI and avoid the algorithm fetch of OpenSSL 3. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <openssl/opensslv.h>
