/* The little of MQTT 3.1.1 that a publisher needs (OASIS standard, sections 3.1 to 3.4 and 3.12). */
#include "loadgen.h"

#include <stdio.h>
#include <string.h>

#define TOPIC "devices/me/telemetry"
#define KEEP_ALIVE_S 300

static uint8_t *put_u16(uint8_t *at, size_t value)
{
    *at++ = (uint8_t)(value >> 8);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t length = strlen(text);

    at = put_u16(at, length);
    memcpy(at, text, length);
    return at + length;
}

static uint8_t *put_length(uint8_t *at, size_t length)
{
    do {
        uint8_t digit = length % 128;
        length /= 128;
        *at++ = (uint8_t)(digit | (length ? 128 : 0));
    } while (length);
    return at;
}

void mqtt_greet(struct connection *c)
{
    char client_id[32];
    uint8_t *start, *at;

    snprintf(client_id, sizeof client_id, "load-%td", c - connections);
    size_t length = 10 + 2 + strlen(client_id) + 2 + strlen(c->username) + 2 + strlen(c->token);
    start = at = reserve(c, length + 5);
    *at++ = 0x10;
    at = put_length(at, length);
    at = put_text(at, "MQTT");
    *at++ = 4;    /* protocol level */
    *at++ = 0xc2; /* user name, password, clean session */
    at = put_u16(at, KEEP_ALIVE_S);
    at = put_text(at, client_id);
    at = put_text(at, c->username);
    at = put_text(at, c->token);
    c->tx_length += (size_t)(at - start);
}

void mqtt_ping(struct connection *c)
{
    memcpy(reserve(c, 2), "\xc0\x00", 2);
    c->tx_length += 2;
    flush(c);
}

void mqtt_publish(struct connection *c, int count)
{
    uint64_t now = now_ns();

    for (int i = 0; i < count; i++) {
        char payload[160];
        size_t size = write_readings(payload, sizeof payload, c);
        size_t length = 2 + sizeof TOPIC - 1 + 2 + size;
        uint8_t *start = reserve(c, length + 5), *at = start;

        if (c->next_id == 0)
            c->next_id = 1;
        *at++ = 0x32; /* PUBLISH, QoS 1 */
        at = put_length(at, length);
        at = put_text(at, TOPIC);
        at = put_u16(at, c->next_id);
        memcpy(at, payload, size);
        c->tx_length += (size_t)(at + size - start);
        c->sent_at_ns[c->next_id % MAX_WINDOW] = now;
        c->next_id++;
        c->in_flight++;
        totals.sent++;
    }
    flush(c);
}

static void handle(struct connection *c, const uint8_t *packet, size_t length)
{
    switch (packet[0] >> 4) {
    case 2: /* CONNACK */
        if (length < 4 || packet[3] != 0)
            fail("the server refused a connection with CONNACK code %d", length < 4 ? -1 : packet[3]);
        c->state = STATE_READY;
        break;
    case 4: /* PUBACK */
        c->in_flight--;
        acknowledged(c, c->sent_at_ns[(packet[2] << 8 | packet[3]) % MAX_WINDOW], 1);
        break;
    case 13: /* PINGRESP */
        break;
    default:
        fail("the server sent a packet of type %d", packet[0] >> 4);
    }
}

void mqtt_received(struct connection *c)
{
    size_t at = 0;

    /* None of the answers is longer than 127 bytes, so its length takes one byte. */
    while (c->rx_length - at >= 2) {
        size_t length = 2 + (size_t)c->rx[at + 1];
        if (c->rx[at + 1] & 0x80)
            fail("the server sent a long packet");
        if (c->rx_length - at < length)
            break;
        handle(c, c->rx + at, length);
        at += length;
    }
    memmove(c->rx, c->rx + at, c->rx_length - at);
    c->rx_length -= at;
    if (sending && options.rate == 0 && c->state == STATE_READY && c->in_flight < options.window)
        mqtt_publish(c, options.window - c->in_flight);
}
