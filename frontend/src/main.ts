import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query'
import { createApp } from 'vue'
import { onReturn } from './api/hub'
import { ApiProblem } from './api/problems'
import { resume } from './api/session'
import App from './App.vue'
import { router } from './router'
import './shell/theme'
import './style.css'

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      // What the hub refused it refuses again; what did not reach it may reach it next time.
      retry: (failures, error) => !(error instanceof ApiProblem && error.status < 500) && failures < 3,
      retryDelay: (failures) => Math.min(1_000 * 2 ** failures, 8_000),
      networkMode: 'always',
    },
    mutations: { networkMode: 'always' },
  },
})

onReturn(() => void queries.invalidateQueries())
void resume()

createApp(App).use(VueQueryPlugin, { queryClient: queries }).use(router).mount('#app')
