/** How a device is doing. */
import { useQuery } from '@tanstack/vue-query'
import type { Ref } from 'vue'
import { client } from '@/api/client'
import type { components } from '@/api/schema'

export type Health = components['schemas']['HealthOut']
export type Check = components['schemas']['CheckOut']

const FOLLOW_MS = 30_000

export function useHealth(deviceId: Ref<number>) {
  return useQuery({
    queryKey: ['health', deviceId],
    queryFn: async ({ signal }) => {
      const params = { path: { device_id: deviceId.value } }
      return (await client.GET('/api/v1/devices/{device_id}/health', { params, signal })).data!
    },
    refetchInterval: FOLLOW_MS,
  })
}
