/* Keep-alive POSTs, one at a time on each connection. */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void http_post(struct connection *c)
{
    static char body[64 * 1024];
    size_t size = 0;
    char *at;

    if (options.batch > 1)
        body[size++] = '[';
    for (int i = 0; i < options.batch; i++) {
        if (i)
            body[size++] = ',';
        size += write_readings(body + size, sizeof body - size, c);
    }
    if (options.batch > 1)
        body[size++] = ']';
    at = (char *)reserve(c, size + 512);
    int head = sprintf(at,
                       "POST /api/v1/telemetry HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Device-Token: %s\r\n"
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                       options.port, c->token, size);
    memcpy(at + head, body, size);
    c->tx_length += (size_t)head + size;
    c->sent_at_ns[0] = now_ns();
    c->in_flight = 1;
    totals.sent += (uint64_t)options.batch;
    flush(c);
}

static size_t body_length(const char *head, size_t size)
{
    for (const char *line = head; line && line < head + size; line = memchr(line, '\n', size - (size_t)(line - head))) {
        if (*line == '\n')
            line++;
        if (strncasecmp(line, "content-length:", 15) == 0)
            return strtoul(line + 15, NULL, 10);
    }
    fail("an answer came without Content-Length");
}

static void answered(struct connection *c, int status)
{
    c->in_flight = 0;
    if (status == 201)
        acknowledged(c, c->sent_at_ns[0], options.batch);
    else
        totals.refused += (uint64_t)options.batch;
    if (sending && options.rate == 0)
        http_post(c);
}

void http_received(struct connection *c)
{
    while (c->rx_length > 0) {
        if (c->skip > 0) {
            size_t part = c->skip < c->rx_length ? c->skip : c->rx_length;
            memmove(c->rx, c->rx + part, c->rx_length - part);
            c->rx_length -= part;
            c->skip -= part;
            if (c->skip == 0)
                answered(c, c->next_id);
            continue;
        }
        const char *end = memmem(c->rx, c->rx_length, "\r\n\r\n", 4);
        if (!end) {
            if (c->rx_length == RX_SIZE)
                fail("an answer's head is larger than %d bytes", RX_SIZE);
            return;
        }
        size_t head = (size_t)(end - (const char *)c->rx) + 4;
        int status = atoi((const char *)c->rx + 9);
        if (status != 201 && totals.refused == 0)
            fprintf(stderr, "loadgen: first refusal: %.*s\n", (int)c->rx_length, (const char *)c->rx);
        c->next_id = (uint16_t)status;
        c->skip = body_length((const char *)c->rx, head);
        memmove(c->rx, c->rx + head, c->rx_length - head);
        c->rx_length -= head;
        if (c->skip == 0)
            answered(c, status);
    }
}
