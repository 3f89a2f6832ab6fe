// A Roost device for ESP32, ESP8266 and other boards with the Arduino core: one header, on top of Joel Gaehwiler's library "MQTT" (256dpi),
// whose publish() returns when the hub has acknowledged. C++11, no heap of its own.
//
//     #include <MQTT.h>
//     #include <Roost.h>
//     WiFiClientSecure mqttNet, httpNet;
//     MQTTClient mqtt(2048);
//     RoostDevice<MQTTClient> device(mqtt, mqttNet, httpNet);
//
//     void setup() { ...network, identity...; device.begin(identity, "hub.example", 8883, 443); }
//     void loop() { device.loop(); if (due) device.send("{\"temp_c\":21.5}"); }
//
// examples/Greenhouse shows all of it.
#ifndef ROOST_H
#define ROOST_H

#include <Arduino.h>
#include <Client.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What a device has to keep for ever: store its bytes (Preferences, EEPROM, a file) and hand them to begin().
struct RoostIdentity {
  uint32_t known = 0;  // kKnown when the rest means something
  char uid[65] = "";
  char key[65] = "";     // proves while pairing that this is the device that said hello
  char token[128] = "";  // empty until it is paired
  int32_t id = 0;
  static constexpr uint32_t kKnown = 0x524f4f31;
  bool paired() const { return known == kKnown && token[0] != '\0'; }
};

// Where in a JSON text a value stands.
struct RoostSlice {
  const char* at;
  size_t size;
  bool is(const char* text) const { return at && strlen(text) == size && strncmp(at, text, size) == 0; }
};

namespace roost {

inline const char* skip(const char* at, const char* end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
  return at;
}

// The end of the value that begins at `at`; `end` when the text ends before.
inline const char* endOfValue(const char* at, const char* end) {
  int depth = 0;
  bool quoted = false;
  for (; at < end; at++) {
    if (quoted) {
      if (*at == '\\') at++;
      else if (*at == '"') {
        quoted = false;
        if (depth == 0) return at + 1;
      }
    } else if (*at == '"') {
      quoted = true;
    } else if (*at == '{' || *at == '[') {
      depth++;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (*at == ',' && depth == 0) {
      return at;
    }
  }
  return end;
}

// A member of a JSON object, as it stands there; strings without their quotes (what is escaped in them stays so).
inline RoostSlice member(const char* json, size_t size, const char* name) {
  const char* end = json + size;
  const char* at = skip(json, end);
  if (at >= end || *at != '{') return {nullptr, 0};
  at = skip(at + 1, end);
  while (at < end && *at == '"') {
    const char* key = at + 1;
    const char* after = endOfValue(at, end);
    bool found = RoostSlice{key, size_t(after - key - 1)}.is(name);
    at = skip(after, end);
    if (at >= end || *at != ':') break;
    at = skip(at + 1, end);
    const char* value = at;
    at = endOfValue(at, end);
    if (found) {
      const char* last = at;
      while (last > value && last[-1] == ' ') last--;
      if (*value == '"') return {value + 1, size_t(last - value - 2)};
      return {value, size_t(last - value)};
    }
    at = skip(at, end);
    if (at < end && *at == ',') at = skip(at + 1, end);
  }
  return {nullptr, 0};
}

inline bool copy(char* to, size_t room, RoostSlice from) {
  if (!from.at || from.size + 1 > room) return false;
  memcpy(to, from.at, from.size);
  to[from.size] = '\0';
  return true;
}

inline long number(RoostSlice text) { return text.at ? strtol(text.at, nullptr, 10) : 0; }

// FIPS 180-4.
inline void sha256Hex(const char* text, char hex[65]) {
  static const uint32_t k[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
      0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
      0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
      0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
      0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
      0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const size_t size = strlen(text);
  const size_t blocks = (size + 9 + 63) / 64;
  for (size_t block = 0; block < blocks; block++) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) {
      w[i] = 0;
      for (int j = 0; j < 4; j++) {
        size_t at = block * 64 + i * 4 + j;
        uint8_t byte = at < size ? uint8_t(text[at]) : at == size ? 0x80 : 0;
        if (at >= blocks * 64 - 8) byte = uint8_t((uint64_t(size) * 8) >> (8 * (blocks * 64 - 1 - at)));
        w[i] = w[i] << 8 | byte;
      }
    }
    auto turn = [](uint32_t x, int n) { return x >> n | x << (32 - n); };
    for (int i = 16; i < 64; i++) {
      uint32_t s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
      uint32_t s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t v[8];
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
      uint32_t s1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25);
      uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
      uint32_t s0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22);
      uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
      for (int j = 7; j > 0; j--) v[j] = v[j - 1];
      v[4] += t1;
      v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += v[i];
  }
  for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", unsigned(h[i]));
}

// Records in a piece of memory of fixed size, first in, first out.
template <size_t Size>
class Ring {
 public:
  uint32_t count = 0;
  uint32_t first = 0;  // the number of the oldest record
  uint32_t dropped = 0;

  // Keep a record; with `force` the oldest ones go when there is no room. False: it was not kept.
  bool append(uint64_t stamp, const char* head, size_t headSize, const char* body, size_t bodySize, bool force) {
    const size_t size = kHeader + headSize + bodySize;
    if (size > Size || (!force && used_ + size > Size)) return false;
    while (used_ + size > Size) {
      pop();
      dropped++;
    }
    uint8_t header[kHeader];
    header[0] = uint8_t(size);
    header[1] = uint8_t(size >> 8);
    memcpy(header + 2, &stamp, 8);
    write(header, kHeader);
    write(head, headSize);
    write(body, bodySize);
    count++;
    return true;
  }

  // Copy the n-th oldest record, ended by '\0', and answer its size, or 0 when there is none or `room` is too small.
  size_t read(uint32_t n, uint64_t* stamp, char* to, size_t room) const {
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
      uint8_t header[kHeader];
      copyOut(at, header, kHeader);
      const size_t size = header[0] | header[1] << 8;
      if (i == n) {
        if (stamp) memcpy(stamp, header + 2, 8);
        if (size - kHeader + 1 > room) return 0;
        copyOut(at + kHeader, to, size - kHeader);
        to[size - kHeader] = '\0';
        return size - kHeader;
      }
      at += size;
    }
    return 0;
  }

  void pop() {
    uint8_t size[2];
    copyOut(0, size, 2);
    const size_t whole = size[0] | size[1] << 8;
    begin_ = (begin_ + whole) % Size;
    used_ -= whole;
    count--;
    first++;
  }

 private:
  static constexpr size_t kHeader = 10;
  void write(const void* from, size_t size) {
    for (size_t i = 0; i < size; i++) memory_[(begin_ + used_++) % Size] = static_cast<const uint8_t*>(from)[i];
  }
  void copyOut(size_t at, void* to, size_t size) const {
    for (size_t i = 0; i < size; i++) static_cast<uint8_t*>(to)[i] = memory_[(begin_ + at + i) % Size];
  }
  uint8_t memory_[Size];
  size_t begin_ = 0, used_ = 0;
};

}  // namespace roost

// `Mqtt` is MQTTClient, or anything with its begin, connect, subscribe, publish, loop, connected, disconnect, onMessageAdvanced and ref.
template <class Mqtt, size_t BufferBytes = 4096, size_t TaskBytes = 2048>
class RoostDevice {
 public:
  // Does a task: writes its result as JSON (or nothing), and answers whether it worked. `payload` is a JSON object.
  typedef bool (*TaskHandler)(const char* type, const char* payload, char* result, size_t room);
  // Gets what the owner wants and is not yet so, as a JSON object; what of it is so then goes to report().
  typedef void (*DeltaHandler)(const char* delta);

  RoostDevice(Mqtt& mqtt, Client& mqttNet, Client& httpNet) : mqtt_(mqtt), mqttNet_(mqttNet), httpNet_(httpNet) {}

  // After the network is up. `host` must stay in memory.
  void begin(const RoostIdentity& identity, const char* host, uint16_t mqttPort = 1883, uint16_t httpPort = 8000) {
    identity_ = identity;
    host_ = host;
    httpPort_ = httpPort;
    mqtt_.begin(host, mqttPort, mqttNet_);
    mqtt_.setOptions(60, true, 5000);
    mqtt_.dropOverflow(true);
    mqtt_.ref = this;
    mqtt_.onMessageAdvanced(received);
    origin_ = uint32_t(random(0x7fffffff));
    nextTry_ = millis();
    lastMillis_ = millis();
  }

  // A uid and a key for a new device. `randomWord` answers random bits: esp_random on an ESP32.
  static RoostIdentity newIdentity(const char* uid, uint32_t (*randomWord)()) {
    RoostIdentity made;
    made.known = RoostIdentity::kKnown;
    snprintf(made.uid, sizeof made.uid, "%s", uid);
    for (int i = 0; i < 8; i++) snprintf(made.key + 8 * i, 9, "%08x", unsigned(randomWord()));
    return made;
  }

  // Make this device known to the hub. Answers the status of HTTP: 200, or 0 when the hub did not answer.
  int hello(const char* firmwareVersion = nullptr) {
    char body[256], hash[65];
    roost::sha256Hex(identity_.key, hash);
    int n = snprintf(body, sizeof body, "{\"device_uid\":\"%s\"", identity_.uid);
    if (!identity_.paired()) n += snprintf(body + n, sizeof body - n, ",\"pairing_key_hash\":\"%s\"", hash);
    if (firmwareVersion) n += snprintf(body + n, sizeof body - n, ",\"firmware_version\":\"%s\"", firmwareVersion);
    snprintf(body + n, sizeof body - n, "}");
    return call("/devices/hello", body);
  }

  // Hand in the code that the owner got. 200: store `identity()` now, for the token is shown this once.
  int pair(const char* code) {
    char body[256];
    snprintf(body, sizeof body, "{\"device_uid\":\"%s\",\"pairing_code\":\"%s\",\"pairing_key\":\"%s\"}", identity_.uid, code, identity_.key);
    const int status = call("/pairing/confirm", body);
    if (status != 200) return status;
    const size_t size = strlen(scratch_);
    identity_.id = int32_t(roost::number(roost::member(scratch_, size, "device_id")));
    const bool good = roost::copy(identity_.token, sizeof identity_.token, roost::member(scratch_, size, "device_token"));
    return good && identity_.id ? 200 : 0;
  }

  const RoostIdentity& identity() const { return identity_; }
  bool connected() { return open_ && mqtt_.connected(); }
  // Messages that the hub does not have yet, and those that had to go for newer ones.
  uint32_t waiting() const { return messages_.count; }
  uint32_t dropped() const { return messages_.dropped; }
  // Whether there is a task or a report that the hub does not know the end of: no time to go to sleep.
  bool busy() const { return tasks_.count || ends_.count || outbox_.count; }

  void onTask(TaskHandler handler) { taskHandler_ = handler; }
  void onDelta(DeltaHandler handler) { deltaHandler_ = handler; }

  // Keep a message, a JSON object, until the hub has it. False: it is larger than half of the scratch space.
  bool send(const char* payload) {
    const size_t size = strlen(payload);
    return size < kScratch / 2 && messages_.append(now(), "", 0, payload, size, true);
  }

  // Set members of what the shadow says is reported. False: too much is waiting already.
  bool report(const char* state) { return post(outbox_, "shadow/reported", state); }

  // Call it often. It does at most one thing that waits for the hub, for at most the time that the network client allows.
  void loop() {
    const uint64_t moment = now();
    if (!identity_.paired()) return;
    if (!mqtt_.connected()) {
      open_ = false;
      if (int32_t(millis() - nextTry_) >= 0) connect(moment);
      return;
    }
    if (!mqtt_.loop()) return;
    // A hub that finds this device too busy lets it in, and closes the connection at its first message.
    if (millis() - openedAt_ > 60000) failures_ = 0;
    if (ends_.count) publishFrom(ends_);
    else if (outbox_.count) publishFrom(outbox_);
    else if (tasks_.count) doTask();
    else if (missed_) reconnect();
    else if (messages_.count) publishMessage();
  }

 private:
  static constexpr size_t kScratch = TaskBytes > 1024 ? TaskBytes : 1024;
  static constexpr uint32_t kFirstPauseMs = 1000, kLongestPauseMs = 120000;

  void connect(uint64_t moment) {
    const uint32_t ceiling = failures_ > 6 ? kLongestPauseMs : kFirstPauseMs << failures_;
    if (failures_ < 7) failures_++;
    // A random moment of that, so that all devices do not come back at once after a power cut.
    nextTry_ = millis() + uint32_t(random(long(ceiling)));
    if ((!hubMs_ || moment - askedMs_ > 24ull * 3600 * 1000) && !askTime()) return;
    char name[16], filter[64];
    snprintf(name, sizeof name, "%ld", long(identity_.id));
    if (!mqtt_.connect(name, name, identity_.token)) return;
    snprintf(filter, sizeof filter, "devices/%ld/shadow/delta", long(identity_.id));
    if (deltaHandler_ && !mqtt_.subscribe(filter, 1)) return;
    snprintf(filter, sizeof filter, "devices/%ld/tasks", long(identity_.id));
    if (taskHandler_ && !mqtt_.subscribe(filter, 1)) return;
    open_ = true;
    openedAt_ = millis();
  }

  // Tasks for which there was no room are sent again after a reconnect.
  void reconnect() {
    missed_ = false;
    nextTry_ = millis();
    mqtt_.disconnect();
  }

  void publishMessage() {
    uint64_t stamp = 0;
    char* payload = scratch_ + kScratch / 2;
    const uint32_t number = messages_.first;
    if (!messages_.read(0, &stamp, payload, kScratch / 2)) return;
    char topic[40];
    snprintf(topic, sizeof topic, "devices/%ld/telemetry", long(identity_.id));
    // Around the payload, which stands in the second half: the first one has room for what comes before it.
    char head[96];
    const int size = snprintf(head, sizeof head, "{\"ts\":%llu,\"message_id\":\"%08lx-%lu\",\"payload\":", (unsigned long long)(hubMs_ + stamp),
                              (unsigned long)origin_, (unsigned long)number);
    const size_t length = strlen(payload);
    memmove(scratch_ + size, payload, length);
    memcpy(scratch_, head, size);
    scratch_[size + length] = '}';
    if (mqtt_.publish(topic, scratch_, int(size + length + 1), false, 1)) drop(messages_, number);
  }

  template <class Records>
  void publishFrom(Records& records) {
    const uint32_t number = records.first;
    if (!records.read(0, nullptr, scratch_, kScratch)) return;
    char* body = strchr(scratch_, ' ');
    char topic[80];
    *body++ = '\0';
    snprintf(topic, sizeof topic, "devices/%ld/%.40s", long(identity_.id), scratch_);
    if (mqtt_.publish(topic, body, int(strlen(body)), false, 1)) drop(records, number);
  }

  // Unless it was pushed out by newer ones while it was on its way.
  template <class Records>
  void drop(Records& records, uint32_t number) {
    failures_ = 0;
    if (records.count && records.first == number) records.pop();
  }

  void doTask() {
    size_t size = tasks_.read(0, nullptr, scratch_, kScratch);
    char type[48] = "", lease[80] = "", result[kResult] = "";
    const long id = roost::number(roost::member(scratch_, size, "id"));
    roost::copy(type, sizeof type, roost::member(scratch_, size, "type"));
    roost::copy(lease, sizeof lease, roost::member(scratch_, size, "lease_token"));
    RoostSlice payload = roost::member(scratch_, size, "payload");
    bool done = false;
    if (payload.at) {
      const_cast<char*>(payload.at)[payload.size] = '\0';
      done = taskHandler_(type, payload.at, result, sizeof result);
    }
    char leaf[40], answer[kResult + 160];
    snprintf(leaf, sizeof leaf, "tasks/%ld/complete", id);
    snprintf(answer, sizeof answer, "{\"status\":\"%s\",\"result\":%s,\"lease_token\":\"%s\"}", done ? "done" : "failed", result[0] ? result : "null",
             lease);
    // There is always room for one, and no task is done before the end of the one before it has gone.
    post(ends_, leaf, answer);
    tasks_.pop();
  }

  template <class Records>
  bool post(Records& records, const char* leaf, const char* body) {
    char head[48];
    const int size = snprintf(head, sizeof head, "%s ", leaf);
    if (size + strlen(body) + 1 > kScratch) return false;
    return records.append(0, head, size, body, strlen(body), false);
  }

  static void received(Mqtt* mqtt, char topic[], char bytes[], int length) { static_cast<RoostDevice*>(mqtt->ref)->receive(topic, bytes, length); }

  // Only notes: while the library is inside of a call, nothing may be published.
  void receive(const char* topic, char* bytes, int length) {
    const char* leaf = strrchr(topic, '/');
    if (!leaf || length <= 0) return;
    if (strcmp(leaf, "/delta") == 0) {
      RoostSlice delta = roost::member(bytes, length, "delta");
      if (!delta.at || delta.is("{}") || !deltaHandler_) return;
      const_cast<char*>(delta.at)[delta.size] = '\0';
      deltaHandler_(delta.at);
    } else if (strcmp(leaf, "/tasks") == 0) {
      if (roost::member(bytes, length, "status").is("cancelled") || known(bytes, length)) return;
      if (size_t(length) + 1 > kScratch || !tasks_.append(0, "", 0, bytes, length, false)) missed_ = true;
    }
  }

  // Whether the task waits here already, or its end does: the hub sends again what it has no end of after a reconnect.
  bool known(const char* bytes, int length) {
    const long id = roost::number(roost::member(bytes, length, "id"));
    char leaf[40];
    const int size = snprintf(leaf, sizeof leaf, "tasks/%ld/complete ", id);
    for (uint32_t i = 0; i < tasks_.count; i++) {
      const size_t read = tasks_.read(i, nullptr, known_, sizeof known_);
      if (read && roost::number(roost::member(known_, read, "id")) == id) return true;
    }
    return ends_.read(0, nullptr, known_, sizeof known_) && strncmp(known_, leaf, size) == 0;
  }

  bool askTime() {
    char path[48];
    snprintf(path, sizeof path, "/devices/%ld/heartbeat", long(identity_.id));
    if (call(path, "{}") != 200) return false;
    RoostSlice said = roost::member(scratch_, strlen(scratch_), "server_time");
    int year, month, day, hour, minute, second, milliseconds = 0;
    if (!said.at || sscanf(said.at, "%d-%d-%dT%d:%d:%d.%d", &year, &month, &day, &hour, &minute, &second, &milliseconds) < 6) return false;
    static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t days = 365LL * (year - 1970) + (year - 1969) / 4 + before[(month - 1) % 12] + day - 1 + (year % 4 == 0 && month > 2);
    askedMs_ = now();
    hubMs_ = uint64_t((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milliseconds) - askedMs_;
    return true;
  }

  // POST; the body of the answer is in `scratch_`. Answers the status, 0 when the hub did not answer.
  int call(const char* path, const char* body) {
    if (!httpNet_.connect(host_, httpPort_)) return 0;
    int size = snprintf(scratch_, kScratch, "POST /api/v1%s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %u\r\n", path, host_,
                        unsigned(strlen(body)));
    if (identity_.paired()) size += snprintf(scratch_ + size, kScratch - size, "X-Device-Token: %s\r\n", identity_.token);
    size += snprintf(scratch_ + size, kScratch - size, "\r\n%s", body);
    if (size_t(size) >= kScratch) return 0;
    httpNet_.write(reinterpret_cast<const uint8_t*>(scratch_), size);
    const uint32_t began = millis();
    size_t have = 0;
    while (millis() - began < 5000 && have + 1 < kScratch) {
      const int got = httpNet_.read(reinterpret_cast<uint8_t*>(scratch_) + have, kScratch - 1 - have);
      if (got > 0) have += got;
      else if (!httpNet_.connected()) break;
      else delay(1);
    }
    httpNet_.stop();
    scratch_[have] = '\0';
    const int status = have > 12 && strncmp(scratch_, "HTTP/1.", 7) == 0 ? atoi(scratch_ + 9) : 0;
    const char* start = strstr(scratch_, "\r\n\r\n");
    if (!start) return 0;
    memmove(scratch_, start + 4, strlen(start + 4) + 1);
    return status;
  }

  // Milliseconds since the start, which do not begin anew after 49 days.
  uint64_t now() {
    const uint32_t moment = millis();
    uptime_ += moment - lastMillis_;
    lastMillis_ = moment;
    return uptime_;
  }

  static constexpr size_t kResult = 512;
  Mqtt& mqtt_;
  Client& mqttNet_;
  Client& httpNet_;
  RoostIdentity identity_;
  const char* host_ = "";
  uint16_t httpPort_ = 8000;
  TaskHandler taskHandler_ = nullptr;
  DeltaHandler deltaHandler_ = nullptr;
  bool open_ = false, missed_ = false;
  uint32_t origin_ = 0, failures_ = 0, nextTry_ = 0, openedAt_ = 0, lastMillis_ = 0;
  uint64_t uptime_ = 0, hubMs_ = 0, askedMs_ = 0;
  roost::Ring<BufferBytes> messages_;
  roost::Ring<TaskBytes> tasks_;
  roost::Ring<1024> ends_, outbox_;
  char scratch_[kScratch], known_[kScratch];
};

#endif
