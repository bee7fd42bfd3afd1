/* One system call that the C library of Debian 12 does not wrap. */
#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sched_attr of linux/sched/types.h, first version. */
struct novate_sched_attr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

/* Asks for a time slice of so many nanoseconds for the calling thread, everything else as it was:
   a thread that wakes for less work than others goes before them (Linux 6.12; older kernels take
   the call and ignore the slice). Returns 0, or -1. https://docs.kernel.org/scheduler/sched-eevdf.html */
static inline int novate_thread_slice(uint64_t nanoseconds) {
  struct novate_sched_attr attributes = {.size = sizeof attributes, .runtime = nanoseconds};
  errno = 0;
  attributes.nice = getpriority(PRIO_PROCESS, 0);
  if (errno != 0) return -1;
  return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}
