// The interface that all network libraries of Arduino share.
#ifndef CLIENT_H
#define CLIENT_H

#include <Arduino.h>
#include <Stream.h>

class Client : public Stream {
 public:
  virtual ~Client() {}
  virtual int connect(IPAddress address, uint16_t port) = 0;
  virtual int connect(const char* host, uint16_t port) = 0;
  virtual size_t write(uint8_t byte) = 0;
  virtual size_t write(const uint8_t* bytes, size_t size) = 0;
  virtual int available() = 0;
  virtual int read() = 0;
  virtual int read(uint8_t* bytes, size_t size) = 0;
  virtual int peek() = 0;
  virtual void flush() = 0;
  virtual void stop() = 0;
  virtual uint8_t connected() = 0;
  virtual operator bool() = 0;
};

#endif
