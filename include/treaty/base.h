/* SPDX-License-Identifier: Apache-2.0 */
/* base.h - attributes and ownership helpers. Rank -1: includes only libc. */
#ifndef TREATY_BASE_H
#define TREATY_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_LEN(a)      (sizeof(a) / sizeof((a)[0]))
#define must_check        __attribute__((warn_unused_result))
#define printf_like(f, v) __attribute__((format(printf, f, v)))
#define cleanup(fn)       __attribute__((cleanup(fn)))

/* Move a value out of a cleanup variable: the caller owns it now. */
#define TAKE_FD(fd)             \
	({                      \
		int fd_ = (fd); \
		(fd) = -1;      \
		fd_;            \
	})
#define TAKE_PTR(p)                     \
	({                              \
		__typeof__(p) p_ = (p); \
		(p) = NULL;             \
		p_;                     \
	})

static inline void free_p(void *p)
{
	free(*(void **)p);
}

static inline void close_p(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define auto_free  cleanup(free_p)
#define auto_close cleanup(close_p)

/* Copy a string into a fixed buffer and zero the rest, so that structs compare by bytes.
 * False when it did not fit (dst is then empty). */
static inline must_check bool str_set_(char *dst, size_t cap, const char *src)
{
	size_t n = src ? strlen(src) : 0;

	memset(dst, 0, cap);
	if (!src || n >= cap)
		return false;
	memcpy(dst, src, n);
	return true;
}
#define str_set(dst, src) str_set_(dst, sizeof(dst), src)

/* The same, cutting what does not fit: for texts that people read, never for names. */
static inline void str_cut_(char *dst, size_t cap, const char *src)
{
	size_t n = src ? strlen(src) : 0;

	memset(dst, 0, cap);
	if (src)
		memcpy(dst, src, n < cap ? n : cap - 1);
}
#define str_cut(dst, src) str_cut_(dst, sizeof(dst), src)

#endif
