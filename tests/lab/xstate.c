/* For processors with more register state than Linux for user mode reserves room for (Intel's
 * AMX): it hands back to the host what it has, and the host takes the whole or nothing (EFAULT), so
 * that the guest's first process dies of it. Loaded before libc, this gives the host the whole; a
 * part that is not there is marked unused in the state's own header. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static char whole[1 << 16]; /* zeros behind what was given; the host reads as far as it needs */

long ptrace(enum __ptrace_request request, ...)
{
    static long (*libc_ptrace)(int, ...);
    __builtin_va_list arguments;
    __builtin_va_start(arguments, request);
    int pid = __builtin_va_arg(arguments, int);
    void *address = __builtin_va_arg(arguments, void *);
    void *data = __builtin_va_arg(arguments, void *);
    __builtin_va_end(arguments);

    if (!libc_ptrace)
        libc_ptrace = (long (*)(int, ...))dlsym(RTLD_NEXT, "ptrace");
    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE) {
        struct iovec *given = data, padded = {whole, sizeof whole};
        if (given->iov_len <= sizeof whole) {
            memcpy(whole, given->iov_base, given->iov_len);
            return libc_ptrace(request, pid, address, &padded);
        }
    }
    return libc_ptrace(request, pid, address, data);
}
