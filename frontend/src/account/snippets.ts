/** Commands that use a personal API token, with real values in them, ready to paste. Pure. */
import type { Hub } from '@/devices/snippets'

export interface TokenSnippet {
  id: 'curl' | 'mqtt'
  label: string
  note: string
  code: string
}

/** What the token may read decides what is asked for; MQTT only for tokens that may listen to something. */
export function tokenSnippets(hub: Hub, token: string, scopes: readonly string[]): TokenSnippet[] {
  const snippets: TokenSnippet[] = [
    { id: 'curl', label: 'curl', note: 'In a terminal with curl.', code: curl(hub, token, scopes) },
  ]
  const topic = topicFor(scopes)
  if (topic) {
    snippets.push({
      id: 'mqtt',
      label: 'mosquitto_sub',
      note: 'Listens to every device that the token reaches. Node-RED and Home Assistant take the same name and password.',
      code: mosquitto(hub, token, topic),
    })
  }
  return snippets
}

const READS: [scope: string, path: string][] = [
  ['devices:read', '/devices'],
  ['telemetry:read', '/telemetry?limit=10'],
  ['homes:read', '/homes'],
  ['users:read', '/users'],
  ['ops:read', '/ops/overview'],
]

function curl(hub: Hub, token: string, scopes: readonly string[]): string {
  const path = READS.find(([scope]) => scopes.includes(scope))?.[1] ?? '/auth/me'
  return [`TOKEN='${token}'`, `curl -fsS '${hub.origin}/api/v1${path}' \\`, `  -H "Authorization: Bearer $TOKEN"`].join('\n')
}

function topicFor(scopes: readonly string[]): string | null {
  if (scopes.includes('telemetry:read')) return 'devices/+/telemetry'
  return scopes.includes('devices:read') ? 'devices/+/status' : null
}

function mosquitto(hub: Hub, token: string, topic: string): string {
  const host = new URL(hub.origin).hostname.replace(/^\[|\]$/g, '')
  const tls = hub.mqttTls ? ' --tls-use-os-certs' : ''
  return [
    `TOKEN='${token}'`,
    `mosquitto_sub -h ${host} -p ${hub.mqttPort}${tls} \\`,
    `  -u token -P "$TOKEN" -q 1 -v -t '${topic}'`,
  ].join('\n')
}
