import { watch } from 'vue'
import { createRouter, createWebHistory } from 'vue-router'
import { ARRIVED, session } from './api/session'

declare module 'vue-router' {
  interface RouteMeta {
    title?: string
    /** Pages for people who are not signed in; `both`: for those who are, too. They stand without the navigation. */
    entrance?: boolean | 'both'
  }
}

export const router = createRouter({
  history: createWebHistory('/app/'),
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path || to.params.id === from.params.id ? false : { top: 0 }),
  routes: [
    { path: '/', redirect: '/devices' },
    { path: '/signin', name: 'signin', component: () => import('./pages/SignInPage.vue'), meta: { entrance: true, title: 'Sign in' } },
    { path: '/register', name: 'register', component: () => import('./pages/RegisterPage.vue'), meta: { entrance: true, title: 'Create an account' } },
    { path: '/forgot-password', name: 'forgot-password', component: () => import('./pages/ForgotPasswordPage.vue'), meta: { entrance: 'both', title: 'Forgot your password' } },
    { path: '/reset-password', name: 'reset-password', component: () => import('./pages/ResetPasswordPage.vue'), meta: { entrance: 'both', title: 'Choose a password' } },
    { path: '/devices', name: 'devices', component: () => import('./pages/DevicesPage.vue'), meta: { title: 'Devices' } },
    {
      path: '/devices/:id(\\d+)/:tab(telemetry|events|tasks|shadow|logs|health|settings)?',
      name: 'device',
      component: () => import('./pages/DevicePage.vue'),
      meta: { title: 'Device' },
    },
    { path: '/tasks', name: 'tasks', component: () => import('./pages/TasksPage.vue'), meta: { title: 'Tasks' } },
    { path: '/tasks/:id(\\d+)', name: 'task', component: () => import('./pages/TaskPage.vue'), meta: { title: 'Task' } },
    { path: '/tasks/bulk/:id(\\d+)', name: 'bulk', component: () => import('./pages/BulkPage.vue'), meta: { title: 'Bulk work' } },
    { path: '/trends', name: 'trends', component: () => import('./pages/TrendsPage.vue'), meta: { title: 'Trends' } },
    {
      path: '/account/:tab(security|tokens|sessions)?',
      name: 'account',
      component: () => import('./pages/AccountPage.vue'),
      meta: { title: 'Account' },
    },
    { path: '/invitation', name: 'invitation', component: () => import('./pages/InvitationPage.vue'), meta: { entrance: 'both', title: 'Invitation' } },
    { path: '/organizations', name: 'organizations', component: () => import('./pages/OrganizationsPage.vue'), meta: { title: 'Organizations' } },
    { path: '/organizations/:id(\\d+)', name: 'organization', component: () => import('./pages/OrganizationPage.vue'), meta: { title: 'Organization' } },
    { path: '/users', name: 'users', component: () => import('./pages/UsersPage.vue'), meta: { title: 'Users' } },
    { path: '/homes', name: 'homes', component: () => import('./pages/HomesPage.vue'), meta: { title: 'Homes' } },
    { path: '/homes/:id(\\d+)', name: 'home', component: () => import('./pages/HomePage.vue'), meta: { title: 'Home' } },
    { path: '/residents/:id(\\d+)', name: 'resident', component: () => import('./pages/ResidentPage.vue'), meta: { title: 'Resident' } },
    { path: '/assignments', name: 'assignments', component: () => import('./pages/AssignmentsPage.vue'), meta: { title: 'My assignments' } },
    { path: '/audit', name: 'audit', component: () => import('./pages/AuditPage.vue'), meta: { title: 'Audit log' } },
    { path: '/ops', name: 'overview', component: () => import('./pages/OverviewPage.vue'), meta: { title: 'Overview' } },
    { path: '/ops/retention', name: 'retention', component: () => import('./pages/RetentionPage.vue'), meta: { title: 'Retention' } },
    { path: '/ops/houses', name: 'houses', component: () => import('./pages/HousesPage.vue'), meta: { title: 'Houses' } },
    { path: '/:rest(.*)*', name: 'missing', component: () => import('./pages/MissingPage.vue'), meta: { title: 'Not found' } },
  ],
})

function known(): Promise<void> {
  if (session.state !== 'starting') return Promise.resolve()
  return new Promise((resolve) => {
    const stop = watch(
      () => session.state,
      () => {
        stop()
        resolve()
      },
    )
  })
}

router.beforeEach(async (to) => {
  await known()
  const signedIn = session.state === 'signed-in'
  if (to.hash === ARRIVED) return { path: takeWayOn(), replace: true }
  if (to.meta.entrance === 'both') return true
  if (to.meta.entrance) return signedIn ? nextOf(to.query.next) : true
  if (!signedIn) return { name: 'signin', query: to.fullPath === '/devices' ? {} : { next: to.fullPath } }
  return true
})

router.afterEach((to) => {
  document.title = to.meta.title ? `${to.meta.title} · Roost` : 'Roost'
})

/** Where to go after signing in: pages of this app only. */
export function nextOf(next: unknown): string {
  return typeof next === 'string' && next.startsWith('/') && !next.startsWith('//') ? next : '/devices'
}

const WAY_ON = 'roost.next'

/** Another provider's page lies between signing in and going on: this keeps where to. */
export function keepWayOn(next: unknown): void {
  try {
    sessionStorage.setItem(WAY_ON, nextOf(next))
  } catch {
    // Without storage the way ends at the devices.
  }
}

function takeWayOn(): string {
  try {
    const next = nextOf(sessionStorage.getItem(WAY_ON))
    sessionStorage.removeItem(WAY_ON)
    return next
  } catch {
    return nextOf(null)
  }
}

watch(
  () => session.state,
  (state, before) => {
    if (before === 'signed-in' && state === 'anonymous') {
      const next = session.ended ? router.currentRoute.value.fullPath : undefined
      void router.push({ name: 'signin', query: next ? { next } : {} })
    }
  },
)
