/** What the pages ask about tasks, and what they order. */
import { keepPreviousData, useInfiniteQuery, useQueries, useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, onScopeDispose, type Ref } from 'vue'
import { useChange } from '@/api/changing'
import { client } from '@/api/client'
import type { components } from '@/api/schema'
import { LiveSocket } from '@/live/socket'

type Schemas = components['schemas']
export type Task = Schemas['TaskRead']
export type TaskDetail = Schemas['TaskDetail']
export type Context = Schemas['TaskContextRead']
export type Bulk = Schemas['BulkRead']
export type NewTask = Partial<Schemas['TaskCreate']> & { type: string }
export type NewBulk = Partial<Omit<Schemas['BulkCreate'], 'devices'>> & { type: string; devices: Partial<Schemas['DeviceQuery']> }

export interface TaskFilter {
  device?: number
  bulk?: number
  status: Task['status'] | ''
}

const PAGE = 25
// The socket tells of changes; this is for those that it missed.
const FOLLOW_MS = 30_000
const GATHER_MS = 300
const TOUCHES = ['tasks']

export function useTaskList(filter: Ref<TaskFilter>) {
  return useInfiniteQuery({
    queryKey: ['tasks', 'list', filter],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const { device, bulk, status } = filter.value
      const query = {
        limit: PAGE,
        ...(device === undefined ? {} : { device_id: device }),
        ...(bulk === undefined ? {} : { bulk_id: bulk }),
        ...(status ? { status } : {}),
        ...(pageParam ? { cursor: pageParam } : {}),
      }
      const { data, response } = await client.GET('/api/v1/tasks', { params: { query }, signal })
      return { tasks: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    refetchInterval: FOLLOW_MS,
  })
}

export function useTask(id: Ref<number>) {
  return useQuery({
    queryKey: ['tasks', 'one', id],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/tasks/{task_id}', { params: { path: { task_id: id.value } }, signal })).data!,
    refetchInterval: FOLLOW_MS,
  })
}

export function useContexts(deviceId: Ref<number>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: ['tasks', 'contexts', deviceId],
    queryFn: async ({ signal }) => {
      const params = { path: { device_id: deviceId.value } }
      return (await client.GET('/api/v1/devices/{device_id}/task-contexts', { params, signal })).data ?? []
    },
    enabled,
  })
}

export function useBulkList() {
  return useInfiniteQuery({
    queryKey: ['tasks', 'bulks'],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }
      const { data, response } = await client.GET('/api/v1/tasks/bulk', { params: { query }, signal })
      return { bulks: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
    refetchInterval: FOLLOW_MS,
  })
}

export function useBulk(id: Ref<number>) {
  return useQuery({
    queryKey: ['tasks', 'bulk', id],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/tasks/bulk/{bulk_id}', { params: { path: { bulk_id: id.value } }, signal })).data!,
    refetchInterval: FOLLOW_MS,
  })
}

export function useTaskActions() {
  return {
    create: useChange(
      async ({ deviceId, task }: { deviceId: number; task: NewTask }) => {
        const params = { path: { device_id: deviceId } }
        return (await client.POST('/api/v1/devices/{device_id}/tasks', { params, body: task as Schemas['TaskCreate'] })).data!
      },
      { touches: TOUCHES, fields: true },
    ),
    cancel: useChange(
      async ({ device_id, id }: Pick<Task, 'device_id' | 'id'>) => {
        const params = { path: { device_id, task_id: id } }
        await client.POST('/api/v1/devices/{device_id}/tasks/{task_id}/cancel', { params })
      },
      { touches: TOUCHES },
    ),
    createBulk: useChange(
      async (bulk: NewBulk) => (await client.POST('/api/v1/tasks/bulk', { body: bulk as Schemas['BulkCreate'] })).data!,
      { touches: TOUCHES, fields: true },
    ),
    cancelBulk: useChange(
      async (id: number) => void (await client.POST('/api/v1/tasks/bulk/{bulk_id}/cancel', { params: { path: { bulk_id: id } } })),
      { touches: TOUCHES },
    ),
  }
}

/** Names of the devices that a page of tasks is about, by id. */
export function useNamesOf(deviceIds: Ref<number[]>) {
  const distinct = computed(() => [...new Set(deviceIds.value)].sort((a, b) => a - b))
  return useQueries({
    queries: computed(() =>
      distinct.value.map((id) => ({
        queryKey: ['devices', 'one', id],
        queryFn: async ({ signal }: { signal: AbortSignal }) =>
          (await client.GET('/api/v1/devices/{device_id}', { params: { path: { device_id: id } }, signal })).data!,
        staleTime: 60_000,
      })),
    ),
    combine: (answers) => new Map(answers.flatMap(({ data }) => (data ? [[data.id, data.name] as const] : []))),
  })
}

/** Asks again, a moment later, whenever something becomes of a task: of this device, or of any. */
export function useTaskFeed(deviceId?: number): void {
  const queries = useQueryClient()
  let timer = 0
  const renew = () => {
    timer ||= window.setTimeout(() => {
      timer = 0
      void queries.invalidateQueries({ queryKey: TOUCHES })
    }, GATHER_MS)
  }
  const socket = new LiveSocket<{ type: string }>(`/ws/tasks${deviceId === undefined ? '' : `?device_id=${deviceId}`}`, {
    frame: renew,
    // What happened between the page's own question and this moment, nobody was told.
    ready: renew,
  })
  onScopeDispose(() => {
    clearTimeout(timer)
    socket.close()
  })
}
