#include "loadgen.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Connects under way at the same time: less than the server's listen queue. */
#define CONNECTS_AT_ONCE 64
#define CONNECT_TIMEOUT_S 120
#define DRAIN_TIMEOUT_S 15
#define PING_INTERVAL_S 120

struct options options = {.connections = 1, .window = 1, .batch = 1, .blocks = 5, .block_s = 5, .warmup_s = 1,
                          .hold_s = 60, .cpu = -1};
struct connection *connections;
struct totals totals;
bool sending;

static enum mode mode_named(const char *name)
{
    if (strcmp(name, "mqtt") == 0)
        return MODE_MQTT;
    if (strcmp(name, "http") == 0)
        return MODE_HTTP;
    if (strcmp(name, "idle") == 0)
        return MODE_IDLE;
    fail("the mode is mqtt, http or idle, not %s", name);
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", 1, 0, 'p'},   {"connections", 1, 0, 'n'}, {"window", 1, 0, 'w'}, {"batch", 1, 0, 'b'},
        {"blocks", 1, 0, 'B'}, {"block-s", 1, 0, 's'},     {"rate", 1, 0, 'r'},   {"hold-s", 1, 0, 'H'},
        {"cpu", 1, 0, 'c'},    {"server-pid", 1, 0, 'P'},  {"credentials", 1, 0, 'C'},
        {"warmup-s", 1, 0, 'u'}, {0, 0, 0, 0},
    };
    int option;

    if (argc < 2)
        fail("usage: loadgen mqtt|http|idle --port N --connections N --credentials FILE [...]");
    options.mode = mode_named(argv[1]);
    optind = 2;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'n': options.connections = atoi(optarg); break;
        case 'w': options.window = atoi(optarg); break;
        case 'b': options.batch = atoi(optarg); break;
        case 'B': options.blocks = atoi(optarg); break;
        case 's': options.block_s = atof(optarg); break;
        case 'r': options.rate = atof(optarg); break;
        case 'H': options.hold_s = atof(optarg); break;
        case 'c': options.cpu = atoi(optarg); break;
        case 'P': options.server_pid = atoi(optarg); break;
        case 'C': options.credentials = optarg; break;
        case 'u': options.warmup_s = atof(optarg); break;
        default: fail("unknown option");
        }
    }
    if (!options.credentials || options.port <= 0 || options.connections < 1)
        fail("--port, --connections and --credentials are needed");
    if (options.window < 1 || options.window > MAX_WINDOW)
        fail("--window is 1 to %d", MAX_WINDOW);
    if (options.batch < 1 || options.batch > 400)
        fail("--batch is 1 to 400");
}

static void prepare_process(void)
{
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < (rlim_t)options.connections + 64)
        fail("%d connections need a higher limit of open files than %lu", options.connections,
             (unsigned long)files.rlim_cur);
    if (options.cpu >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(options.cpu, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores) < 0)
            fail("core %d: %s", options.cpu, strerror(errno));
    }
}

static void read_credentials(void)
{
    FILE *file = fopen(options.credentials, "r");
    char username[256], token[256];

    if (!file)
        fail("%s: %s", options.credentials, strerror(errno));
    connections = calloc((size_t)options.connections, sizeof *connections);
    for (int i = 0; i < options.connections; i++) {
        if (fscanf(file, "%255s %255s", username, token) != 2)
            fail("%s has fewer than %d lines", options.credentials, options.connections);
        connections[i].username = strdup(username);
        connections[i].token = strdup(token);
        connections[i].next_id = 1;
    }
    fclose(file);
}

static void connect_all(void)
{
    uint64_t start = now_ns(), deadline = start + CONNECT_TIMEOUT_S * 1000000000ull;
    int opened = 0;

    while (ready_connections() < options.connections) {
        while (opened < options.connections && opened - ready_connections() < CONNECTS_AT_ONCE)
            open_connection(&connections[opened++]);
        poll_once(100);
        if (totals.lost_connections)
            fail("the server closed a connection after %d were ready", ready_connections());
        if (now_ns() > deadline)
            fail("only %d of %d connections were ready in time", ready_connections(), options.connections);
    }
    printf("{\"connected\":%d,\"seconds\":%.3f}\n", ready_connections(), (double)(now_ns() - start) / 1e9);
    fflush(stdout);
}

static void send_more(struct connection *c)
{
    if (c->state != STATE_READY)
        return;
    if (options.mode == MODE_HTTP && c->in_flight == 0)
        http_post(c);
    else if (options.mode == MODE_MQTT && c->in_flight < options.window)
        mqtt_publish(c, options.rate > 0 ? 1 : options.window - c->in_flight);
}

/* With a rate the clock says how many messages are due; without one every answer makes the next message. */
static void run_until(uint64_t end_ns, uint64_t started_ns)
{
    static int turn;

    while (now_ns() < end_ns) {
        poll_once(options.rate > 0 ? 1 : 100);
        if (totals.lost_connections == (uint64_t)options.connections)
            fail("the server closed every connection");
        if (options.rate <= 0)
            continue;
        uint64_t due = (uint64_t)(options.rate * (double)(now_ns() - started_ns) / 1e9);
        for (int tries = 0; totals.sent < due && tries < options.connections; tries++) {
            send_more(&connections[turn]);
            turn = (turn + 1) % options.connections;
        }
    }
}

static void load(void)
{
    uint64_t started = now_ns(), edge = started + (uint64_t)(options.warmup_s * 1e9);

    sending = true;
    for (int i = 0; i < options.connections && options.rate <= 0; i++)
        send_more(&connections[i]);
    run_until(edge, started);
    for (int block = 0; block < options.blocks; block++) {
        start_block();
        edge = now_ns() + (uint64_t)(options.block_s * 1e9);
        run_until(edge, started);
        end_block(block);
    }
    sending = false;
    edge = now_ns() + DRAIN_TIMEOUT_S * 1000000000ull;
    while (totals.acked + totals.refused < totals.sent && now_ns() < edge)
        poll_once(100);
}

/* Hold the connections until standard input closes. */
static void hold(void)
{
    uint64_t end = now_ns() + (uint64_t)(options.hold_s * 1e9), ping = now_ns() + PING_INTERVAL_S * 1000000000ull;
    struct pollfd input = {.fd = 0, .events = POLLIN};

    while (now_ns() < end && poll(&input, 1, 0) == 0) {
        poll_once(100);
        if (now_ns() < ping)
            continue;
        for (int i = 0; i < options.connections; i++)
            if (connections[i].state == STATE_READY)
                mqtt_ping(&connections[i]);
        ping = now_ns() + PING_INTERVAL_S * 1000000000ull;
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    prepare_process();
    read_credentials();
    connect_all();
    if (options.mode == MODE_IDLE)
        hold();
    else
        load();
    printf("{\"sent\":%llu,\"acked\":%llu,\"refused\":%llu,\"lost_connections\":%llu}\n",
           (unsigned long long)totals.sent, (unsigned long long)totals.acked, (unsigned long long)totals.refused,
           (unsigned long long)totals.lost_connections);
    return 0;
}
