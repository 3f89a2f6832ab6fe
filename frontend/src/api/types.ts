/** Names for the shapes that the pages use. */

export interface Device {
  id: number
  device_uid: string
  name: string
  type: string | null
  organization_id: number | null
  home_id: number | null
  room_id: number | null
  tags: string[]
  firmware_version: string | null
  capabilities: unknown
  status: string
  status_reason: string | null
  last_seen_at: string | null
  claimed_at: string | null
  created_at: string
  updated_at: string
}

export interface Me {
  id: number
  email: string
  username: string | null
  full_name: string | null
  roles: string[]
  scopes: string[]
  organizations: { id: number; name: string; role?: string }[]
  homes: { id: number; name: string }[]
}

export interface SignedIn {
  access_token: string
  expires_in: number
}

export interface PresenceState {
  device_id: number
  status: string
  since: string | null
  last_seen_at: string | null
  reason: string | null
  transports: string[]
}

export interface HubVersion {
  name: string
  version: string
  mqtt_port: number | null
  mqtt_tls: boolean
}

export type Value = number | boolean

export interface Reading {
  sensor_type: string
  value: Value
  unit: string | null
  timestamp: string
}

export interface Message {
  id: number
  device_id: number
  event_type: string | null
  payload: unknown
  ts: string
  received_at: string
}

export interface LogLine {
  id: number
  level: string
  message: string
  source: string
  timestamp: string
}

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
}
