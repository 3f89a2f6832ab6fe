import { describe, expect, it } from 'vitest'
import { clientName, isPhone } from '@/account/clients'
import { farRefusal, signInRefusal } from '@/account/refusals'
import { saidScopes, scopeRows } from '@/account/scopes'
import { tokenSnippets } from '@/account/snippets'
import { ApiProblem } from '@/api/problems'

const hub = { origin: 'http://hub.lan:8000', mqttPort: 1884, mqttTls: false }
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
const EDGE = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0'
const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1'

describe('sessions', () => {
  it('are named by browser and system', () => {
    expect(clientName(FIREFOX)).toBe('Firefox 140 on Linux')
    expect(clientName(EDGE)).toBe('Edge 141 on Windows')
    expect(clientName(IPHONE)).toBe('Safari 18 on iPhone')
    expect(clientName('curl/8.5.0')).toBe('curl 8')
    expect([FIREFOX, EDGE, IPHONE].map(isPhone)).toEqual([false, false, true])
  })

  it('are named as they call themselves when nobody knows them, and briefly', () => {
    expect(clientName('my-script')).toBe('my-script')
    expect(clientName('x'.repeat(300))).toHaveLength(41)
    expect(clientName(null)).toBe('Unknown program')
  })
})

describe('scopes', () => {
  it('are offered as far as the user has them', () => {
    expect(scopeRows(['devices:read', 'devices:write', 'users:read']).map(({ thing, read, write }) => [thing, read, write])).toEqual([
      ['devices', 'devices:read', 'devices:write'],
      ['users', 'users:read', null],
    ])
    expect(saidScopes(['devices:read', 'devices:write', 'telemetry:read'])).toEqual(['Devices: read, change', 'Readings and events: read'])
  })
})

describe('commands with an API token', () => {
  it('ask for what the token may read', () => {
    const [curl, mqtt] = tokenSnippets(hub, 'rpat_x', ['devices:read', 'telemetry:read'])
    expect(curl!.code).toContain("'http://hub.lan:8000/api/v1/devices'")
    expect(mqtt!.code).toContain("-t 'devices/+/telemetry'")
    expect(mqtt!.code).toContain('-h hub.lan -p 1884 \\')
    expect(tokenSnippets(hub, 'rpat_x', ['homes:read']).map(({ id }) => id)).toEqual(['curl'])
    expect(tokenSnippets({ ...hub, mqttTls: true }, 'rpat_x', ['devices:read'])[1]!.code).toContain("--tls-use-os-certs \\\n  -u token -P \"$TOKEN\" -q 1 -v -t 'devices/+/status'")
  })
})

describe('a refused sign-in', () => {
  it('says what to do', () => {
    expect(signInRefusal(new ApiProblem(401, { code: 'wrong_credentials' }))).toContain('do not belong together')
    expect(signInRefusal(new ApiProblem(401, { code: 'wrong_second_factor' }))).toContain('recovery code')
    expect(signInRefusal(new ApiProblem(429, {}, 90))).toBe('Too many tries. Wait 1 min and try again.')
    expect(farRefusal('oidc_denied')).toContain('said no')
    expect(farRefusal('something_new')).toBe(farRefusal('oidc_failed'))
    expect(farRefusal(undefined)).toBeNull()
  })
})
