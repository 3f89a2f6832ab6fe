// An ESP32 that measures, blinks when it is told to, and keeps its interval where the hub's owner sets it.
// The pairing code is typed into the serial monitor at the first start.
#include <MQTT.h>
#include <Preferences.h>
#include <Roost.h>
#include <WiFiClientSecure.h>

static const char* kHub = "hub.example";
// The certificate of the authority that signed the hub's.
static const char* kAuthority = R"(-----BEGIN CERTIFICATE-----
...
-----END CERTIFICATE-----)";

WiFiClientSecure mqttNet, httpNet;
MQTTClient mqtt(2048);
RoostDevice<MQTTClient> device(mqtt, mqttNet, httpNet);
Preferences preferences;
uint32_t intervalMs = 10000, sentAt = 0;

bool doTask(const char* type, const char* payload, char* result, size_t room) {
  if (strcmp(type, "blink") != 0) {
    snprintf(result, room, "{\"error\":\"This device can only blink.\"}");
    return false;
  }
  const long times = constrain(roost::number(roost::member(payload, strlen(payload), "times")), 1, 20);
  for (long i = 0; i < times; i++) {
    digitalWrite(LED_BUILTIN, HIGH);
    delay(100);
    digitalWrite(LED_BUILTIN, LOW);
    delay(100);
  }
  snprintf(result, room, "{\"blinked\":%ld}", times);
  return true;
}

void applyDelta(const char* delta) {
  const long seconds = roost::number(roost::member(delta, strlen(delta), "interval_s"));
  if (seconds < 1) return;
  intervalMs = seconds * 1000;
  char state[40];
  snprintf(state, sizeof state, "{\"interval_s\":%ld}", seconds);
  device.report(state);
}

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
  WiFi.begin("network", "password");
  while (WiFi.status() != WL_CONNECTED) delay(100);
  configTime(0, 0, "pool.ntp.org");  // TLS needs to know the date
  while (time(nullptr) < 1600000000) delay(100);
  mqttNet.setCACert(kAuthority);
  httpNet.setCACert(kAuthority);

  preferences.begin("roost");
  RoostIdentity identity;
  if (preferences.getBytes("identity", &identity, sizeof identity) != sizeof identity) {
    char uid[32];
    snprintf(uid, sizeof uid, "greenhouse-%llx", ESP.getEfuseMac());
    identity = RoostDevice<MQTTClient>::newIdentity(uid, esp_random);
    // Before the hub hears of the key: it goes on asking for the one that it has heard first.
    preferences.putBytes("identity", &identity, sizeof identity);
  }
  device.onTask(doTask);
  device.onDelta(applyDelta);
  device.begin(identity, kHub, 8883, 443);
  device.hello("greenhouse 1.0");
  while (!device.identity().paired()) {
    Serial.printf("Pairing code for %s: ", identity.uid);
    Serial.setTimeout(60000);
    String code = Serial.readStringUntil('\n');
    code.trim();
    if (code.length() && device.pair(code.c_str()) == 200) preferences.putBytes("identity", &device.identity(), sizeof(RoostIdentity));
    else device.hello("greenhouse 1.0");
  }
}

void loop() {
  device.loop();
  if (millis() - sentAt >= intervalMs) {
    sentAt = millis();
    char payload[64];
    snprintf(payload, sizeof payload, "{\"temp_c\":%.1f}", temperatureRead());
    device.send(payload);
  }
}
