/* One hint to the kernel. */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

/* Asks for huge pages behind the whole pages of a piece of memory, before it is written for the
   first time. A hint: where the kernel has none to give, nothing changes. */
static inline void novate_ask_huge_pages(void *address, size_t count) {
  const uintptr_t page = 4096;
  uintptr_t first = ((uintptr_t)address + page - 1) & ~(page - 1);
  uintptr_t last = ((uintptr_t)address + count) & ~(page - 1);
  if (last > first) (void)madvise((void *)first, last - first, MADV_HUGEPAGE);
}
