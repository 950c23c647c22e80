/* SPDX-License-Identifier: Apache-2.0 */
/* pure.h - the last include of every *_core.c. After it the names below are compile errors: a
 * decision reads no clock, draws no random number, allocates nothing, does no I/O and uses no
 * floating point. `make lint` checks the objects' undefined symbols as well. */
#pragma GCC poison malloc calloc realloc free strdup asprintf
#pragma GCC poison time clock_gettime gettimeofday rand random getrandom
#pragma GCC poison printf fprintf syslog open read write send recv ioctl socket
#pragma GCC poison getenv exit abort json_t double float
