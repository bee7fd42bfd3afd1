#ifndef NOVATE_SANDBOX_H
#define NOVATE_SANDBOX_H

// Runs `path` in a child process in which the kernel kills whoever makes a socket; its output goes to
// /dev/null. Returns the exit status, 128 + N when signal N ended it, -1 when the rule cannot be set
// here.
int novate_run_without_sockets(const char *path, char *const arguments[]);

// Whether the rule does what it says: 1 when a child that makes a socket under it is killed, 0 when
// not, -1 when the rule cannot be set here.
int novate_socket_rule_holds(void);

#endif
