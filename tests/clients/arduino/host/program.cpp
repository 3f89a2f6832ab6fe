// A sketch's setup() and loop() on a computer: counts, does tasks, follows its shadow. Ends when all of it is done.
//   program PORT MQTT_PORT UID FILE COUNT INTERVAL_MS TASKS DELTAS
#include <MQTT.h>
#include <Roost.h>
#include <SocketClient.h>

static SocketClient mqttNet, httpNet;
static MQTTClient mqtt(2048);
static RoostDevice<MQTTClient> device(mqtt, mqttNet, httpNet);
static int tasks = 0, deltas = 0;

static bool doTask(const char* type, const char* payload, char* result, size_t room) {
  tasks++;
  if (strcmp(type, "blink") != 0) {
    snprintf(result, room, "{\"error\":\"This device can only blink.\"}");
    return false;
  }
  snprintf(result, room, "{\"blinked\":%ld}", roost::number(roost::member(payload, strlen(payload), "times")));
  return true;
}

static void applyDelta(const char* delta) {
  deltas++;
  device.report(delta);
}

static uint32_t randomWord() { return uint32_t(::random()) << 1 ^ uint32_t(::random()); }

static void save(const char* file) {
  FILE* stream = fopen(file, "wb");
  fwrite(&device.identity(), sizeof(RoostIdentity), 1, stream);
  fclose(stream);
}

int main(int, char** arguments) {
  const int port = atoi(arguments[1]), mqttPort = atoi(arguments[2]);
  const char *uid = arguments[3], *file = arguments[4];
  const int count = atoi(arguments[5]), wantedTasks = atoi(arguments[7]), wantedDeltas = atoi(arguments[8]);
  const uint32_t interval = atoi(arguments[6]);
  setvbuf(stdout, nullptr, _IOLBF, 0);
  srandom(uint32_t(time(nullptr)) ^ uint32_t(getpid()));
  RoostIdentity identity;
  FILE* stream = fopen(file, "rb");
  const bool kept = stream && fread(&identity, sizeof identity, 1, stream) == 1;
  if (stream) fclose(stream);
  if (!kept) identity = RoostDevice<MQTTClient>::newIdentity(uid, randomWord);
  device.onTask(doTask);
  device.onDelta(applyDelta);
  device.begin(identity, "127.0.0.1", mqttPort, port);
  if (!identity.paired()) {
    printf("hello %d\n", device.hello("arduino-test"));
    char code[64];
    while (!device.identity().paired() && fgets(code, sizeof code, stdin)) {
      code[strcspn(code, "\n")] = '\0';
      printf("pair %d\n", device.pair(code));
    }
    save(file);
  }
  uint32_t sentAt = millis() - interval;
  const uint32_t began = millis();
  int sent = 0;
  while (millis() - began < 50000) {
    if (sent < count && millis() - sentAt >= interval) {
      sentAt = millis();
      char payload[32];
      snprintf(payload, sizeof payload, "{\"n\":%d}", sent++);
      device.send(payload);
    }
    device.loop();
    if (sent == count && !device.waiting() && !device.busy() && tasks >= wantedTasks && deltas >= wantedDeltas) break;
    delay(1);
  }
  mqtt.disconnect();
  printf("{\"sent\":%d,\"waiting\":%u,\"dropped\":%u,\"tasks\":%d,\"deltas\":%d,\"bytes\":%u}\n", sent, unsigned(device.waiting()),
         unsigned(device.dropped()), tasks, deltas, unsigned(sizeof device));
  return 0;
}
