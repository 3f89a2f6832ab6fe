// A Client on a socket of this computer.
#ifndef SOCKET_CLIENT_H
#define SOCKET_CLIENT_H

#include <Client.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

class SocketClient : public Client {
 public:
  ~SocketClient() { stop(); }
  int connect(IPAddress, uint16_t) override { return 0; }
  int connect(const char* host, uint16_t port) override {
    stop();
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, host, &address.sin_addr);
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      stop();
      return 0;
    }
    fcntl(socket_, F_SETFL, O_NONBLOCK);
    return 1;
  }
  size_t write(uint8_t byte) override { return write(&byte, 1); }
  size_t write(const uint8_t* bytes, size_t size) override {
    size_t sent = 0;
    while (socket_ >= 0 && sent < size) {
      ssize_t n = ::send(socket_, bytes + sent, size - sent, MSG_NOSIGNAL);
      if (n > 0) sent += n;
      else if (errno == EAGAIN) delay(1);
      else break;
    }
    return sent;
  }
  int available() override {
    int waiting = 0;
    if (socket_ >= 0) ioctl(socket_, FIONREAD, &waiting);
    return waiting;
  }
  int read() override {
    uint8_t byte;
    return read(&byte, 1) == 1 ? byte : -1;
  }
  int read(uint8_t* bytes, size_t size) override { return socket_ < 0 ? -1 : int(::recv(socket_, bytes, size, 0)); }
  int peek() override { return -1; }
  void flush() override {}
  void stop() override {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  uint8_t connected() override {
    if (socket_ < 0) return 0;
    char byte;
    ssize_t n = ::recv(socket_, &byte, 1, MSG_PEEK);
    return n > 0 || (n < 0 && errno == EAGAIN);
  }
  operator bool() override { return socket_ >= 0; }

 private:
  int socket_ = -1;
};

#endif
