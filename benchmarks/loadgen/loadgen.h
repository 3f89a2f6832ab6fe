/* A load generator on one thread and one core: MQTT QoS 1 publishers, HTTP posters, or idle MQTT connections. */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_WINDOW 128
#define RX_SIZE 4096

enum mode { MODE_MQTT, MODE_HTTP, MODE_IDLE };

struct options {
    enum mode mode;
    int port;
    int connections;
    int window;       /* messages on the way per connection; HTTP always 1 request */
    int batch;        /* HTTP: messages per request */
    int blocks;
    double block_s;
    double warmup_s;
    double rate;      /* messages a second over all connections; 0: as fast as the answers allow */
    double hold_s;    /* idle mode: how long to hold the connections at most */
    int cpu;          /* core to run on; -1: any */
    int server_pid;   /* whose CPU time to read at the edges of a block */
    const char *credentials; /* file of lines "username token" */
};

enum state { STATE_CONNECTING, STATE_GREETING, STATE_READY, STATE_CLOSED };

struct connection {
    int fd;
    enum state state;
    bool wants_write;
    int in_flight;
    uint16_t next_id;      /* packet id of the next publish */
    uint32_t sequence;     /* grows with every message of this connection */
    uint64_t sent_at_ns[MAX_WINDOW];
    char *username, *token;
    uint8_t rx[RX_SIZE];
    size_t rx_length;
    size_t skip;           /* HTTP: bytes of the answer's body still to come */
    uint8_t *tx;
    size_t tx_length, tx_capacity, tx_done;
};

struct totals {
    uint64_t sent, acked, refused, lost_connections;
};

extern struct options options;
extern struct connection *connections;
extern struct totals totals;
extern bool sending;

/* network.c */
uint64_t now_ns(void);
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void open_connection(struct connection *c);
void close_connection(struct connection *c);
uint8_t *reserve(struct connection *c, size_t size); /* room at the end of the send buffer */
void flush(struct connection *c);
void poll_once(int timeout_ms);
int ready_connections(void);

/* mqtt.c */
void mqtt_greet(struct connection *c);
void mqtt_received(struct connection *c);
void mqtt_publish(struct connection *c, int count);
void mqtt_ping(struct connection *c);

/* http.c */
void http_received(struct connection *c);
void http_post(struct connection *c);

/* figures.c */
size_t write_readings(char *into, size_t size, struct connection *c);
void acknowledged(struct connection *c, uint64_t sent_at_ns, int messages);
void start_block(void);
void end_block(int number);
double server_cpu_s(void);

#endif
