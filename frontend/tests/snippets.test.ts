import { describe, expect, it } from 'vitest'
import { isLoopback, pairingPayload, snippetsFor } from '@/devices/snippets'

const hub = { origin: 'http://hub.lan:8000', mqttPort: 1884, mqttTls: false }

describe('snippets', () => {
  it('carry the real values of a pairing', () => {
    const snippets = snippetsFor(hub, { kind: 'code', deviceUid: 'greenhouse-1', code: '7K3M-Q2XD' })
    expect(snippets.map(({ id }) => id)).toEqual(['curl', 'mqtt', 'python', 'micropython'])
    for (const { code } of snippets) {
      expect(code).toContain('greenhouse-1')
      expect(code).toContain('7K3M-Q2XD')
      expect(code).toContain('http://hub.lan:8000/api/v1')
      expect(code.indexOf('/devices/hello')).toBeLessThan(code.indexOf('/pairing/confirm'))
    }
    expect(snippets[1]!.code).toContain('-h hub.lan -p 1884 -q 1')
  })

  it('carry the token of a device that has one, and do not pair', () => {
    for (const { code } of snippetsFor({ ...hub, mqttTls: true }, { kind: 'token', deviceId: 7, deviceUid: 'd-7', token: 'rdt_x' })) {
      expect(code).toContain('rdt_x')
      expect(code).not.toContain('pairing')
    }
  })

  it('know addresses that lead nowhere else', () => {
    expect(isLoopback('http://127.0.0.1:8000')).toBe(true)
    expect(isLoopback('http://[::1]:8000')).toBe(true)
    expect(isLoopback('http://192.168.1.2:8000')).toBe(false)
  })

  it('put all that pairing needs into the QR', () => {
    expect(JSON.parse(pairingPayload(hub, 'a-1', 'ABCD-EFGH'))).toEqual({
      hub: 'http://hub.lan:8000/api/v1',
      device_uid: 'a-1',
      pairing_code: 'ABCD-EFGH',
    })
  })
})
