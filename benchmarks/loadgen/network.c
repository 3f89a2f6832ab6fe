#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd = -1;
static int ready;

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "loadgen: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

int ready_connections(void)
{
    return ready;
}

static void watch(struct connection *c, int operation, bool writable)
{
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
    c->wants_write = writable;
}

void open_connection(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    int on = 1;

    if (epoll_fd < 0)
        epoll_fd = epoll_create1(0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    c->state = STATE_CONNECTING;
    watch(c, EPOLL_CTL_ADD, true);
}

void close_connection(struct connection *c)
{
    if (c->state == STATE_CLOSED)
        return;
    if (c->state == STATE_READY)
        ready--;
    close(c->fd);
    c->state = STATE_CLOSED;
    totals.lost_connections++;
}

uint8_t *reserve(struct connection *c, size_t size)
{
    if (c->tx_length + size > c->tx_capacity) {
        c->tx_capacity = (c->tx_length + size) * 2;
        c->tx = realloc(c->tx, c->tx_capacity);
        if (!c->tx)
            fail("out of memory");
    }
    return c->tx + c->tx_length;
}

void flush(struct connection *c)
{
    while (c->state != STATE_CLOSED && c->tx_done < c->tx_length) {
        ssize_t n = send(c->fd, c->tx + c->tx_done, c->tx_length - c->tx_done, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            close_connection(c);
            return;
        }
        c->tx_done += (size_t)n;
    }
    if (c->tx_done == c->tx_length)
        c->tx_done = c->tx_length = 0;
    if (c->state != STATE_CLOSED && c->wants_write != (c->tx_length > 0))
        watch(c, EPOLL_CTL_MOD, c->tx_length > 0);
}

static void established(struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        fail("connect: %s", strerror(error));
    if (options.mode == MODE_HTTP) {
        c->state = STATE_READY;
        ready++;
    } else {
        c->state = STATE_GREETING;
        mqtt_greet(c);
    }
    flush(c);
}

static void readable(struct connection *c)
{
    enum state before = c->state;
    ssize_t n = recv(c->fd, c->rx + c->rx_length, RX_SIZE - c->rx_length, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        close_connection(c);
        return;
    }
    c->rx_length += (size_t)n;
    if (options.mode == MODE_HTTP)
        http_received(c);
    else
        mqtt_received(c);
    if (before == STATE_GREETING && c->state == STATE_READY)
        ready++;
    flush(c);
}

void poll_once(int timeout_ms)
{
    struct epoll_event events[512];
    int n = epoll_wait(epoll_fd, events, 512, timeout_ms);

    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->state == STATE_CLOSED)
            continue;
        if (c->state == STATE_CONNECTING) {
            established(c);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            flush(c);
        if (c->state != STATE_CLOSED && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            readable(c);
    }
}
