// As much of the Arduino core as Roost.h and the MQTT library use, on a computer.
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <string>

inline uint32_t millis() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return uint32_t(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}
inline void delay(uint32_t ms) { usleep(ms * 1000); }
inline void yield() {}
inline long random(long below) { return below > 0 ? ::random() % below : 0; }

class String {
 public:
  String(const char* text = "") : text_(text) {}
  const char* c_str() const { return text_.c_str(); }
  unsigned length() const { return text_.size(); }

 private:
  std::string text_;
};

class IPAddress {};

#endif
