#ifndef STREAM_H
#define STREAM_H
class Stream {};
#endif
