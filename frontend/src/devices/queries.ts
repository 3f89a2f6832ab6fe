/** What the pages ask about devices, and what they change. */
import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { client } from '@/api/client'
import type { Device } from '@/api/types'
import { ofOrganization } from '@/organizations/current'

const PAGE = 50
const FOLLOW_MS = 20_000

export interface DeviceFilter {
  q: string
  status: string
  home: number | null
  room: number | null
}

function wanted(filter: DeviceFilter) {
  return {
    ...ofOrganization.value,
    ...(filter.q ? { q: filter.q } : {}),
    ...(filter.status ? { status: filter.status } : {}),
    ...(filter.home === null ? {} : { home_id: filter.home }),
    ...(filter.room === null ? {} : { room_id: filter.room }),
  }
}

export function useDeviceList(filter: Ref<DeviceFilter>) {
  return useInfiniteQuery({
    queryKey: ['devices', 'list', filter, ofOrganization],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = { ...wanted(filter.value), limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }
      const { data, response } = await client.GET('/api/v1/devices', { params: { query }, signal })
      return { devices: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    refetchInterval: FOLLOW_MS,
  })
}

/** The first devices, for the navigation. */
export function useDeviceNames() {
  return useQuery({
    queryKey: ['devices', 'names', ofOrganization],
    queryFn: async ({ signal }) => {
      const { data } = await client.GET('/api/v1/devices', { params: { query: { ...ofOrganization.value, limit: 15 } }, signal })
      return data ?? []
    },
    refetchInterval: FOLLOW_MS,
  })
}

export function useDeviceSearch(text: Ref<string>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: ['devices', 'search', text],
    queryFn: async ({ signal }) => {
      const query = { limit: 8, ...(text.value.trim() ? { q: text.value.trim() } : {}) }
      const { data } = await client.GET('/api/v1/devices', { params: { query }, signal })
      return data ?? []
    },
    placeholderData: keepPreviousData,
    enabled,
  })
}

export function useDevice(id: Ref<number>) {
  return useQuery({
    queryKey: ['devices', 'one', id],
    queryFn: async ({ signal }) => {
      const { data } = await client.GET('/api/v1/devices/{device_id}', {
        params: { path: { device_id: id.value } },
        signal,
      })
      return data!
    },
    refetchInterval: FOLLOW_MS,
  })
}

export function useDeviceStatus(id: Ref<number>) {
  return useQuery({
    queryKey: ['status', id],
    queryFn: async ({ signal }) => {
      const { data } = await client.GET('/api/v1/devices/{device_id}/status', {
        params: { path: { device_id: id.value } },
        signal,
      })
      return data!
    },
    refetchInterval: FOLLOW_MS,
  })
}

export function useHubVersion() {
  return useQuery({
    queryKey: ['version'],
    queryFn: async ({ signal }) => {
      const { data } = await client.GET('/api/v1/system/version', { signal })
      return data!
    },
    staleTime: Infinity,
  })
}

export interface DeviceChange {
  name?: string
  type?: string | null
  tags?: string[]
}

export function useDeviceActions(id: Ref<number>) {
  const queries = useQueryClient()
  const path = computed(() => ({ device_id: id.value }))
  const changed = () => queries.invalidateQueries({ queryKey: ['devices'] })
  return {
    update: useMutation({
      mutationFn: async (change: DeviceChange) => {
        const { data } = await client.PATCH('/api/v1/devices/{device_id}', { params: { path: path.value }, body: change as never })
        return data!
      },
      onSuccess: (device: Device) => {
        queries.setQueryData(['devices', 'one', device.id], device)
        return changed()
      },
    }),
    rotate: useMutation({
      mutationFn: async () => {
        const { data } = await client.POST('/api/v1/devices/{device_id}/token', { params: { path: path.value } })
        return data!
      },
    }),
    revoke: useMutation({
      mutationFn: () => client.DELETE('/api/v1/devices/{device_id}/token', { params: { path: path.value } }),
      onSuccess: changed,
    }),
    remove: useMutation({
      mutationFn: () => client.DELETE('/api/v1/devices/{device_id}', { params: { path: path.value } }),
    }),
  }
}
