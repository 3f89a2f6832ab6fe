// What the library "MQTT" (256dpi/arduino-mqtt) offers and Roost.h uses, for tests without that library: 3.1.1, QoS 1, waiting for each answer.
#ifndef MQTT_H
#define MQTT_H

#include <Client.h>

#include <vector>

class MQTTClient {
 public:
  typedef void (*Callback)(MQTTClient* client, char topic[], char bytes[], int length);
  void* ref = nullptr;

  explicit MQTTClient(int bufferBytes) : bufferBytes_(bufferBytes) {}
  void begin(const char* host, int port, Client& net) {
    host_ = host;
    port_ = port;
    net_ = &net;
  }
  void setOptions(int keepAlive, bool, int timeoutMs) {
    keepAlive_ = keepAlive;
    timeoutMs_ = timeoutMs;
  }
  void dropOverflow(bool) {}
  void onMessageAdvanced(Callback callback) { callback_ = callback; }

  bool connect(const char* clientId, const char* user, const char* password) {
    if (!net_->connect(host_, port_)) return false;
    std::string body = text("MQTT") + std::string("\x04\xc2\x00", 3) + char(keepAlive_) + text(clientId) + text(user) + text(password);
    open_ = true;
    return send(0x10, body) && await(0x20, -1) && answer_.size() == 2 && answer_[1] == 0 ? true : lose();
  }
  bool subscribe(const char* filter, int qos) {
    next();
    return send(0x82, number() + text(filter) + char(qos)) && await(0x90, id_) && uint8_t(answer_[2]) < 0x80;
  }
  bool publish(const char* topic, const char* payload, int length, bool, int qos) {
    if (qos != 1) return false;
    next();
    return send(0x32, text(topic) + number() + std::string(payload, length)) && await(0x40, id_);
  }
  bool loop() {
    while (connected() && net_->available())
      if (!packet()) return false;
    if (connected() && millis() - sentAt_ > uint32_t(keepAlive_) * 500) send(0xc0, "");
    return connected();
  }
  bool connected() {
    if (open_ && !net_->connected() && !net_->available()) lose();
    return open_;
  }
  bool disconnect() {
    send(0xe0, "");
    return !lose();
  }

 private:
  bool lose() {
    net_->stop();
    open_ = false;
    return false;
  }
  void next() { id_ = id_ % 65535 + 1; }
  std::string number() const { return {char(id_ >> 8), char(id_ & 255)}; }
  static std::string text(const std::string& text) { return std::string{char(text.size() >> 8), char(text.size() & 255)} + text; }

  bool send(uint8_t kind, const std::string& body) {
    std::string packet(1, char(kind));
    size_t length = body.size();
    do {
      packet += char((length & 127) | (length > 127 ? 128 : 0));
      length >>= 7;
    } while (length);
    packet += body;
    sentAt_ = millis();
    return net_->write(reinterpret_cast<const uint8_t*>(packet.data()), packet.size()) == packet.size() ? true : lose();
  }
  bool await(uint8_t kind, int id) {
    const uint32_t began = millis();
    while (millis() - began < uint32_t(timeoutMs_) && connected()) {
      if (!net_->available()) {
        delay(1);
        continue;
      }
      if (!packet()) return false;
      if (kind_ == kind && (id < 0 || (uint8_t(answer_[0]) << 8 | uint8_t(answer_[1])) == id)) return true;
    }
    return lose();
  }
  bool bytes(char* to, size_t size) {
    const uint32_t began = millis();
    while (size && millis() - began < uint32_t(timeoutMs_)) {
      int got = net_->read(reinterpret_cast<uint8_t*>(to), size);
      if (got > 0) {
        to += got;
        size -= got;
      } else if (got == 0) {
        return lose();
      } else {
        delay(1);
      }
    }
    return size ? lose() : true;
  }
  bool packet() {
    char head, digit;
    size_t length = 0;
    int shift = 0;
    if (!bytes(&head, 1)) return false;
    do {
      if (!bytes(&digit, 1)) return false;
      length |= size_t(digit & 127) << shift;
      shift += 7;
    } while (digit & 128);
    kind_ = uint8_t(head) & 0xf0;
    answer_.assign(length, '\0');
    if (length && !bytes(&answer_[0], length)) return false;
    if (kind_ != 0x30) return true;
    const size_t size = uint8_t(answer_[0]) << 8 | uint8_t(answer_[1]);
    std::string topic = answer_.substr(2, size), payload = answer_.substr(2 + size);
    if (head & 6) {
      const std::string acknowledged = payload.substr(0, 2);
      payload = payload.substr(2);
      if (!send(0x40, acknowledged)) return false;
    }
    // As with the library: what does not fit into its buffer is thrown away.
    if (int(length) + 5 <= bufferBytes_ && callback_) callback_(this, &topic[0], &payload[0], int(payload.size()));
    kind_ = 0x30;
    return true;
  }

  Client* net_ = nullptr;
  Callback callback_ = nullptr;
  const char* host_ = "";
  int port_ = 0, keepAlive_ = 10, timeoutMs_ = 1000, id_ = 0, bufferBytes_;
  bool open_ = false;
  uint8_t kind_ = 0;
  uint32_t sentAt_ = 0;
  std::string answer_;
};

#endif
