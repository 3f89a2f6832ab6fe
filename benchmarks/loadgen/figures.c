/* What is sent, what is counted, and how it is reported: one JSON object a line. */
#include "loadgen.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Latencies in steps of about 3 %: 32 steps for each power of two of microseconds. */
#define STEPS 32
#define BUCKETS (STEPS * 32)

static uint64_t histogram[BUCKETS];
static uint64_t block_acked, block_started_ns;
static double block_cpu_s;

size_t write_readings(char *into, size_t size, struct connection *c)
{
    uint32_t n = ++c->sequence;

    /* Three keys that change in every message, about 75 bytes. */
    return (size_t)snprintf(into, size, "{\"payload\":{\"temperature\":%u.%02u,\"humidity_pct\":%u.%u,\"sequence\":%u}}",
                            18 + n % 9, n % 100, 40 + n % 31, n % 10, 1000000 + n);
}

static int bucket_of(uint64_t us)
{
    if (us < STEPS)
        return (int)us;
    int exponent = 63 - __builtin_clzll(us);
    int bucket = (exponent - 4) * STEPS + (int)((us >> (exponent - 5)) & (STEPS - 1));
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double bucket_us(int bucket)
{
    if (bucket < STEPS)
        return bucket;
    int exponent = bucket / STEPS + 4;
    return (double)((uint64_t)(STEPS + bucket % STEPS) << (exponent - 5));
}

static double percentile_ms(double share)
{
    uint64_t count = 0, passed = 0;

    for (int i = 0; i < BUCKETS; i++)
        count += histogram[i];
    for (int i = 0; i < BUCKETS; i++) {
        passed += histogram[i];
        if (count && (double)passed >= share * (double)count)
            return bucket_us(i) / 1000;
    }
    return 0;
}

void acknowledged(struct connection *c, uint64_t sent_at_ns, int messages)
{
    (void)c;
    histogram[bucket_of((now_ns() - sent_at_ns) / 1000)]++;
    totals.acked += (uint64_t)messages;
}

double server_cpu_s(void)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    FILE *file;

    if (!options.server_pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", options.server_pid);
    file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file))
        fail("the server (process %d) is gone", options.server_pid);
    fclose(file);
    /* The name in parentheses may hold spaces; fields 14 and 15 are the clock ticks in user and system mode. */
    sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

void start_block(void)
{
    memset(histogram, 0, sizeof histogram);
    block_acked = totals.acked;
    block_cpu_s = server_cpu_s();
    block_started_ns = now_ns();
}

void end_block(int number)
{
    double seconds = (double)(now_ns() - block_started_ns) / 1e9;

    printf("{\"block\":%d,\"seconds\":%.3f,\"acked\":%llu,\"server_cpu_s\":%.2f,"
           "\"ack_p50_ms\":%.3f,\"ack_p99_ms\":%.3f,\"ack_max_ms\":%.3f}\n",
           number, seconds, (unsigned long long)(totals.acked - block_acked), server_cpu_s() - block_cpu_s,
           percentile_ms(0.5), percentile_ms(0.99), percentile_ms(1));
    fflush(stdout);
}
