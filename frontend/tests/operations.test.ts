import { describe, expect, it } from 'vitest'
import { actionText, actorText, detailRows, objectText, type Entry } from '@/audit/words'
import { bytesText, fullText, growthText, rateText, withSample, type Sample } from '@/ops/rates'

const entry: Entry = {
  id: 7,
  at: '2026-01-31T12:00:00.000Z',
  actor_kind: 'user',
  actor_id: 3,
  actor_name: 'kim@example.org',
  organization_id: 1,
  action: 'home.deleted',
  object_kind: 'home',
  object_id: '9',
  object_name: null,
  outcome: 'success',
  address: '192.0.2.7',
  request_id: 'abc',
  details: {},
  seal: 'ff',
}

describe('the audit log', () => {
  it('says what was done, also what this page does not know yet', () => {
    expect(actionText('user.sign_in_refused')).toBe('Sign-in refused')
    expect(actionText('api_token.created')).toBe('API token created')
    expect(actionText('escalation_policy.changed')).toBe('Escalation policy changed')
  })

  it('names who did it and to what, without saying it twice', () => {
    expect(objectText(entry)).toBe('home 9')
    expect(objectText({ ...entry, object_name: 'Kim’s' })).toBe('Kim’s')
    expect(objectText({ ...entry, object_kind: 'user', object_id: '3', object_name: 'kim@example.org' })).toBeNull()
    expect(actorText({ ...entry, actor_kind: 'anonymous', actor_id: null, actor_name: null })).toBe('Somebody not signed in')
    expect(actorText({ ...entry, actor_kind: 'device', actor_name: null })).toBe('device 3')
  })

  it('writes details as they are', () => {
    expect(detailRows({ role: 'owner', ended: 2, nothing: null, scopes: ['a'] })).toEqual([
      { label: 'role', value: 'owner' },
      { label: 'ended', value: '2' },
      { label: 'scopes', value: '["a"]' },
    ])
  })
})

describe('the overview', () => {
  it('keeps five minutes of samples, each moment once', () => {
    let samples: Sample[] = []
    for (let t = 0; t <= 600; t += 3) samples = withSample(samples, { t, rate: t })
    expect(samples).toHaveLength(100)
    expect(samples[0]!.t).toBe(303)
    expect(withSample(samples, { t: 600, rate: 1 })).toEqual(samples)
  })

  it('writes bytes and rates for people', () => {
    expect([0, 512, 1_536, 81_290_000_000, null].map(bytesText)).toEqual(['0\u00a0B', '512\u00a0B', '1.50\u00a0KiB', '75.7\u00a0GiB', 'not known'])
    expect([0, 0.04, 7.44, 12_345.6].map(rateText)).toEqual(['0', '< 0.1', '7.4', '12\u202f346'])
  })

  it('says when the disk is full, and when that cannot be told', () => {
    expect([null, -5, 0, 2_097_152].map(growthText)).toEqual(['too early to say', 'nothing', 'nothing', '2.00\u00a0MiB'])
    const told = { bytes_per_day: 10, full_at: '2027-03-03T12:00:00.000Z', usable_bytes: 100 }
    expect(fullText(told)).toBe('3 March 2027')
    expect(fullText({ ...told, bytes_per_day: null, full_at: null })).toBe('too early to say')
    expect(fullText({ ...told, full_at: null })).toBe('not in sight')
    expect(fullText({ ...told, full_at: null, usable_bytes: null })).toBe('not known')
  })
})
