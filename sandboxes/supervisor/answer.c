/* How helpers answer, and how payloads are read. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

uint32_t get_u32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void put_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

void put_header(unsigned char *frame, uint32_t id, uint32_t type, uint32_t length)
{
    put_u32(frame, id);
    put_u32(frame + 4, type);
    put_u32(frame + 8, length);
}

static void answer_send(struct answer *answer, uint32_t type)
{
    put_header(answer->frame, answer->request->id, type, (uint32_t)answer->used);
    while (send(answer->request->socket, answer->frame, HEADER + answer->used, MSG_NOSIGNAL) < 0)
        if (errno == ENOBUFS || errno == ENOMEM)
            usleep(1000);
        else if (errno != EINTR)
            _exit(1);
    answer->used = 0;
}

void answer_add(struct answer *answer, const void *data, size_t length)
{
    const unsigned char *at = data;
    while (length) {
        if (answer->used == CHUNK)
            answer_send(answer, F_DATA);
        size_t take = length < CHUNK - answer->used ? length : CHUNK - answer->used;
        memcpy(answer->frame + HEADER + answer->used, at, take);
        answer->used += take;
        at += take;
        length -= take;
    }
}

void answer_text(struct answer *answer, const char *format, ...)
{
    char text[256];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    answer_add(answer, text, (size_t)length);
}

void answer_u32(struct answer *answer, uint32_t value)
{
    unsigned char data[4];
    put_u32(data, value);
    answer_add(answer, data, sizeof data);
}

void answer_u64(struct answer *answer, uint64_t value)
{
    answer_u32(answer, (uint32_t)value);
    answer_u32(answer, (uint32_t)(value >> 32));
}

/* Digits without the machinery of printf: a listing has six numbers a file. */
void answer_number(struct answer *answer, uint64_t value, unsigned base, char after)
{
    char text[32], *at = text + sizeof text;
    *--at = after;
    do
        *--at = (char)('0' + value % base);
    while (value /= base);
    answer_add(answer, at, (size_t)(text + sizeof text - at));
}

void answer_flush(struct answer *answer)
{
    if (answer->used)
        answer_send(answer, F_DATA);
}

void answer_end(struct answer *answer) { answer_send(answer, F_END); }

void answer_end_staying(struct answer *answer) { answer_send(answer, F_END | F_STAYS); }

uint32_t field_u32(struct fields *fields)
{
    if (fields->end - fields->at < 4) {
        fields->ok = 0;
        return 0;
    }
    fields->at += 4;
    return get_u32(fields->at - 4);
}

uint64_t field_u64(struct fields *fields)
{
    uint64_t low = field_u32(fields);
    return low | (uint64_t)field_u32(fields) << 32;
}

const char *field_text(struct fields *fields)
{
    const unsigned char *end = memchr(fields->at, 0, (size_t)(fields->end - fields->at));
    if (!end) {
        fields->ok = 0;
        return "";
    }
    const char *text = (const char *)fields->at;
    fields->at = end + 1;
    return text;
}

/* cgroup v1: memory.oom_control, v2: memory.events; both have a line "oom_kill N". */
long read_oom_kills(int descriptor)
{
    char text[512];
    ssize_t length = descriptor < 0 ? -1 : pread(descriptor, text, sizeof text - 1, 0);
    if (length <= 0)
        return 0;
    text[length] = 0;
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, "oom_kill ", 9))
            return strtol(line + 9, NULL, 10);
    }
    return 0;
}
