/** Other MQTT brokers that an organization's owners have connected. */
import { useMutation, useQuery } from '@tanstack/vue-query'
import type { Ref } from 'vue'
import { useChange } from '@/api/changing'
import { client } from '@/api/client'
import type { components } from '@/api/schema'

type Schemas = components['schemas']
export type Bridge = Schemas['BridgeRead']
export type NewBridge = Schemas['BridgeCreate']
export type Source = Schemas['SourceIn']
export type Tried = Schemas['MessageRead']

const MOST = 500
/** A bridge connects, fails and hears devices by itself. */
const REFRESH_MS = 5_000

export function useBridges(organizationId: Ref<number>) {
  return useQuery({
    queryKey: ['bridges', organizationId],
    refetchInterval: REFRESH_MS,
    queryFn: async ({ signal }) => {
      const params = { query: { organization_id: organizationId.value, limit: MOST } }
      return (await client.GET('/api/v1/bridges', { params, signal })).data ?? []
    },
  })
}

export function useBridgeActions() {
  const touches = ['bridges']
  const path = (id: number) => ({ params: { path: { bridge_id: id } } })
  return {
    create: useChange(async (body: NewBridge) => void (await client.POST('/api/v1/bridges', { body })), { touches, fields: true }),
    enable: useChange(
      async ({ id, enabled }: { id: number; enabled: boolean }) =>
        void (await client.PATCH('/api/v1/bridges/{bridge_id}', { ...path(id), body: { enabled } })),
      { touches },
    ),
    remove: useChange(async (id: number) => void (await client.DELETE('/api/v1/bridges/{bridge_id}', path(id))), { touches }),
  }
}

/** What would become of a message of the broker. */
export function useTrying() {
  return useMutation({
    mutationFn: async (body: Schemas['MessageTried']) => (await client.POST('/api/v1/bridges/try', { body })).data,
  })
}
