/** Names for the shapes that the pages use: what the OpenAPI document has comes from there, frames of the sockets do not. */
import type { components } from './schema'

type Schemas = components['schemas']

export type Device = Schemas['DeviceRead']
export type Me = Schemas['Profile']
export type SignedIn = Pick<Schemas['TokenRead'], 'access_token' | 'expires_in'>
export type Reading = Schemas['ReadingOut']
export type Value = Reading['value']
export type Message = Schemas['MessageOut']

export interface TelemetryFrame {
  type: 'telemetry'
  device_id: number
  device_uid: string
  event_type: string | null
  ts: string
  received_at: string
  readings: Reading[]
}

export interface StatusFrame {
  type: 'status'
  device_id: number
  status: string
  since: string | null
  last_seen_at: string | null
  reason: string | null
  cause: Device['status_cause']
}
