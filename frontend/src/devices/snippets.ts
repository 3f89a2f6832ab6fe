/**
 * Commands that make a device speak, with real values in them, ready to paste. Pure.
 * Pairing goes hello → confirm → first message; a device that has its token already only sends.
 */

export interface Hub {
  /** Origin of this page, for example http://192.168.1.10:8000. */
  origin: string
  mqttPort: number
  mqttTls: boolean
}

export type Credentials =
  | { kind: 'code'; deviceUid: string; code: string }
  | { kind: 'token'; deviceId: number; deviceUid: string; token: string }

export interface Snippet {
  id: 'curl' | 'mqtt' | 'python' | 'micropython'
  label: string
  note: string
  code: string
}

const READING = '{"temp_c": 21.5, "humidity_percent": 48}'

export function snippetsFor(hub: Hub, credentials: Credentials): Snippet[] {
  return [
    { id: 'curl', label: 'curl', note: 'In a terminal with curl.', code: curl(hub, credentials) },
    {
      id: 'mqtt',
      label: 'mosquitto_pub',
      note: 'In a terminal with the Mosquitto clients. Pairing goes over HTTP, everything after it over MQTT.',
      code: mosquitto(hub, credentials),
    },
    { id: 'python', label: 'Python', note: 'Python 3 as it is, nothing to install.', code: python(hub, credentials) },
    {
      id: 'micropython',
      label: 'MicroPython',
      note: 'ESP32, Pico W and others; put in your Wi-Fi name and password.',
      code: micropython(hub, credentials),
    },
  ]
}

const api = (hub: Hub): string => `${hub.origin}/api/v1`
const host = (hub: Hub): string => new URL(hub.origin).hostname.replace(/^\[|\]$/g, '')

function json(value: object): string {
  return JSON.stringify(value)
}

/** Shell lines that leave the token in $TOKEN and, after pairing, the id in $ID. */
function shellToken(hub: Hub, credentials: Credentials): string[] {
  if (credentials.kind === 'token') return [`TOKEN='${credentials.token}'`]
  const { deviceUid, code } = credentials
  return [
    `HUB='${api(hub)}'`,
    `curl -fsS "$HUB/devices/hello" -H 'Content-Type: application/json' \\`,
    `  -d '${json({ device_uid: deviceUid, firmware_version: '1.0.0' })}'`,
    `TOKEN=$(curl -fsS "$HUB/pairing/confirm" -H 'Content-Type: application/json' \\`,
    `  -d '${json({ device_uid: deviceUid, pairing_code: code })}' \\`,
    `  | sed -E 's/.*"device_token": *"([^"]+)".*/\\1/')`,
    `echo "Keep this token: $TOKEN"`,
  ]
}

function curl(hub: Hub, credentials: Credentials): string {
  const address = credentials.kind === 'code' ? '"$HUB/telemetry"' : `'${api(hub)}/telemetry'`
  return [
    ...shellToken(hub, credentials),
    `curl -fsS ${address} -H "X-Device-Token: $TOKEN" \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '{"event_type": "reading", "payload": ${READING}}'`,
  ].join('\n')
}

function mosquitto(hub: Hub, credentials: Credentials): string {
  const tls = hub.mqttTls ? ' --tls-use-os-certs' : ''
  return [
    ...shellToken(hub, credentials),
    `mosquitto_pub -h ${host(hub)} -p ${hub.mqttPort}${tls} -q 1 \\`,
    `  -i '${credentials.deviceUid}' -u '${credentials.deviceUid}' -P "$TOKEN" \\`,
    `  -t devices/me/telemetry -m '${READING}'`,
  ].join('\n')
}

function python(hub: Hub, credentials: Credentials): string {
  const pairing =
    credentials.kind === 'token'
      ? [`TOKEN = "${credentials.token}"`]
      : [
          `post("/devices/hello", {"device_uid": "${credentials.deviceUid}", "firmware_version": "1.0.0"})`,
          `paired = post("/pairing/confirm", {"device_uid": "${credentials.deviceUid}", "pairing_code": "${credentials.code}"})`,
          `TOKEN = paired["device_token"]`,
          `print("Keep this token:", TOKEN)`,
        ]
  return [
    'import json, random, time, urllib.request',
    '',
    `HUB = "${api(hub)}"`,
    '',
    'def post(path, body, **headers):',
    '    request = urllib.request.Request(HUB + path, json.dumps(body).encode(),',
    '                                     {"Content-Type": "application/json", **headers})',
    '    with urllib.request.urlopen(request) as answer:',
    '        return json.load(answer)',
    '',
    ...pairing,
    '',
    'while True:',
    '    payload = {"temp_c": round(21 + random.random(), 2), "humidity_percent": 48}',
    '    post("/telemetry", {"event_type": "reading", "payload": payload}, **{"X-Device-Token": TOKEN})',
    '    time.sleep(5)',
  ].join('\n')
}

function micropython(hub: Hub, credentials: Credentials): string {
  const pairing =
    credentials.kind === 'token'
      ? [`TOKEN = "${credentials.token}"`]
      : [
          `post("/devices/hello", {"device_uid": "${credentials.deviceUid}", "firmware_version": "1.0.0"})`,
          'try:  # the code works once; the token is kept in a file',
          '    TOKEN = open("token.txt").read()',
          'except OSError:',
          `    TOKEN = post("/pairing/confirm", {"device_uid": "${credentials.deviceUid}",`,
          `                                      "pairing_code": "${credentials.code}"})["device_token"]`,
          '    with open("token.txt", "w") as file:',
          '        file.write(TOKEN)',
        ]
  return [
    'import network, requests, time',
    '',
    `HUB = "${api(hub)}"`,
    'wifi = network.WLAN(network.STA_IF)',
    'wifi.active(True)',
    'wifi.connect("your Wi-Fi", "its password")',
    'while not wifi.isconnected():',
    '    time.sleep(1)',
    '',
    'def post(path, body, headers={}):',
    '    answer = requests.post(HUB + path, json=body, headers=headers)',
    '    try:',
    '        return answer.json()',
    '    finally:',
    '        answer.close()',
    '',
    ...pairing,
    '',
    'while True:',
    '    post("/telemetry", {"event_type": "reading", "payload": {"temp_c": 21.5}}, {"X-Device-Token": TOKEN})',
    '    time.sleep(10)',
  ].join('\n')
}

/** What the QR holds: everything a device with a camera, or its phone app, needs to pair. */
export function pairingPayload(hub: Hub, deviceUid: string, code: string): string {
  return json({ hub: api(hub), device_uid: deviceUid, pairing_code: code })
}

/** The name that the hub has for people: a loopback address means nothing to a device elsewhere. */
export function isLoopback(origin: string): boolean {
  const name = host({ origin, mqttPort: 0, mqttTls: false })
  return name === 'localhost' || name === '::1' || name.startsWith('127.')
}
