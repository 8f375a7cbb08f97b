/* Written by `npm run openapi`, of the routes. */
import type { z } from "zod";
import type { Operation } from "./operation.ts";
import type * as accountDetails from "#core/contracts/api/account-details.ts";
import type * as accounts from "#core/contracts/api/accounts.ts";
import type * as audit from "#core/contracts/api/audit.ts";
import type * as billing from "#core/contracts/api/billing.ts";
import type * as cards from "#core/contracts/api/cards.ts";
import type * as catalogue from "#core/contracts/api/catalogue.ts";
import type * as catalogueSync from "#core/contracts/api/catalogue-sync.ts";
import type * as drains from "#core/contracts/api/drains.ts";
import type * as findings from "#core/contracts/api/findings.ts";
import type * as fleet from "#core/contracts/api/fleet.ts";
import type * as forced from "#core/contracts/api/forced.ts";
import type * as hostStanding from "#core/contracts/api/host-standing.ts";
import type * as hosts from "#core/contracts/api/hosts.ts";
import type * as mails from "#core/contracts/api/mails.ts";
import type * as moves from "#core/contracts/api/moves.ts";
import type * as network from "#core/contracts/api/network.ts";
import type * as orders from "#core/contracts/api/orders.ts";
import type * as page from "#core/contracts/api/page.ts";
import type * as planMigrations from "#core/contracts/api/plan-migrations.ts";
import type * as resizes from "#core/contracts/api/resizes.ts";
import type * as restores from "#core/contracts/api/restores.ts";
import type * as search from "#core/contracts/api/search.ts";
import type * as staffActs from "#core/contracts/api/staff-acts.ts";
import type * as staffVms from "#core/contracts/api/staff-vms.ts";
import type * as usage from "#core/contracts/api/usage.ts";
import type * as vms from "#core/contracts/api/vms.ts";

/** What each operation takes, and what it answers. */
export type Operations = {
  activateHost: { path: { id: string }; query: {}; body: z.input<typeof hosts.MoveHost>; answer: z.output<typeof forced.ForcedView> };
  addAccountNote: { path: { id: string }; query: {}; body: z.input<typeof accountDetails.AddNote>; answer: z.output<typeof accountDetails.NoteView> };
  addHost: { path: {}; query: {}; body: z.input<typeof hosts.AddHost>; answer: z.output<typeof hosts.AddedHost> };
  addImage: { path: {}; query: {}; body: z.input<typeof catalogue.AddImage>; answer: z.output<typeof catalogue.AddedImage> };
  addLocation: { path: {}; query: {}; body: z.input<typeof catalogue.AddLocation>; answer: z.output<typeof catalogue.AddedLocation> };
  addPlan: { path: {}; query: {}; body: z.input<typeof catalogue.AddPlan>; answer: z.output<typeof catalogue.AddedPlan> };
  addPlanVersion: { path: { id: string }; query: {}; body: z.input<typeof catalogue.AddPlanVersion>; answer: z.output<typeof catalogue.AddedPlanVersion> };
  addPool: { path: { id: string }; query: {}; body: z.input<typeof network.AddPool>; answer: z.output<typeof network.AddedPool> };
  adoptVm: { path: { id: string }; query: {}; body: z.input<typeof restores.AdoptVm>; answer: z.output<typeof restores.AdoptionView> };
  agreeOnDunning: { path: { id: string }; query: {}; body: z.input<typeof staffActs.AgreeOnDunning>; answer: z.output<typeof forced.ForcedView> };
  askToDestroyVm: { path: { id: string }; query: {}; body: z.input<typeof staffActs.AskToDestroy>; answer: z.output<typeof forced.ForcedView> | z.output<typeof staffActs.DestroyRequestView> };
  beginAgentRollout: { path: {}; query: {}; body: z.input<typeof fleet.BeginRollout>; answer: z.output<typeof fleet.RolloutView> };
  cancelAction: { path: { id: string ; actionId: string }; query: {}; body: z.input<typeof staffVms.CallOffAction>; answer: z.output<typeof staffVms.CalledOffView> };
  cancelMaintenance: { path: { id: string }; query: {}; body: z.input<typeof hosts.MoveHost>; answer: z.output<typeof forced.ForcedView> };
  cancelResize: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof vms.RequestedAction> };
  cancelVm: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof vms.VmView> };
  cancelVmForCustomer: { path: { id: string }; query: {}; body: z.input<typeof staffActs.ForcedByReason>; answer: z.output<typeof forced.ForcedView> };
  changeAgentRollout: { path: { id: string }; query: {}; body: z.input<typeof fleet.ChangeRollout>; answer: z.output<typeof fleet.RolloutView> };
  changeHost: { path: { id: string }; query: {}; body: z.input<typeof hosts.ChangeHost>; answer: z.output<typeof hosts.HostView> };
  changeMe: { path: {}; query: {}; body: z.input<typeof accounts.ChangeMe>; answer: z.output<typeof accounts.Me> };
  changePlanMigration: { path: { id: string }; query: {}; body: z.input<typeof planMigrations.ChangePlanMigration>; answer: z.output<typeof planMigrations.PlanMigrationDetails> };
  changeVm: { path: { id: string }; query: {}; body: z.input<typeof vms.ChangeVm>; answer: z.output<typeof vms.VmView> };
  clearMailAddress: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof mails.MailDetailsView> };
  closeAccount: { path: { id: string }; query: {}; body: z.input<typeof staffActs.ForcedByReason>; answer: z.output<typeof forced.ForcedView> };
  confirmDestroyRequest: { path: { id: string }; query: {}; body: z.input<typeof staffActs.ConfirmDestroy>; answer: z.output<typeof forced.ForcedView> | z.output<typeof vms.RequestedAction> };
  cordonHost: { path: { id: string }; query: {}; body: z.input<typeof hosts.MoveHost>; answer: z.output<typeof forced.ForcedView> };
  createToken: { path: {}; query: {}; body: z.input<typeof accounts.CreateToken>; answer: z.output<typeof accounts.CreatedToken> };
  deleteVm: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof vms.RequestedAction> };
  drainHost: { path: { id: string }; query: {}; body: z.input<typeof drains.DrainHost>; answer: z.output<typeof drains.DrainPlanView> };
  endImpersonation: { path: { id: string }; query: {}; body: undefined; answer: null };
  extendEntitlement: { path: { id: string }; query: {}; body: z.input<typeof staffActs.ExtendEntitlement>; answer: z.output<typeof forced.ForcedView> };
  impersonate: { path: { id: string }; query: {}; body: z.input<typeof staffActs.Impersonate>; answer: z.output<typeof staffActs.ImpersonationView> };
  issueJoinToken: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof hosts.AddedHost> };
  keepFromSuspension: { path: { id: string }; query: {}; body: z.input<typeof staffActs.KeepFromSuspension>; answer: z.output<typeof forced.ForcedView> };
  listAccounts: { path: {}; query: z.input<typeof accounts.AccountQuery>; body: undefined; answer: z.output<typeof accounts.AccountPage> };
  listActions: { path: {}; query: z.input<typeof staffVms.StaffActionQuery>; body: undefined; answer: z.output<typeof staffVms.StaffActionPage> };
  listAgentReleases: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof fleet.ReleasePage> };
  listAgentRollouts: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof fleet.RolloutPage> };
  listAudit: { path: {}; query: z.input<typeof audit.AuditQuery>; body: undefined; answer: z.output<typeof audit.AuditPage> };
  listDestroyRequests: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof staffActs.DestroyRequestPage> };
  listFindings: { path: {}; query: z.input<typeof findings.FindingQuery>; body: undefined; answer: z.output<typeof findings.FindingPage> };
  listHosts: { path: {}; query: z.input<typeof hosts.HostQuery>; body: undefined; answer: z.output<typeof hostStanding.HostStandingPage> };
  listHostsOfImage: { path: { id: string }; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof catalogue.HostImagePage> };
  listImages: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof catalogue.ImagePage> };
  listInvoices: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof billing.InvoicePage> };
  listLocations: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof catalogue.LocationPage> };
  listMails: { path: {}; query: z.input<typeof mails.MailQuery>; body: undefined; answer: z.output<typeof mails.MailPage> };
  listMoves: { path: {}; query: z.input<typeof moves.MoveQuery>; body: undefined; answer: z.output<typeof moves.MovePage> };
  listOrders: { path: {}; query: z.input<typeof orders.OrderQuery>; body: undefined; answer: z.output<typeof orders.OrderPage> };
  listPlanMigrationVms: { path: { id: string }; query: z.input<typeof planMigrations.PlanMigrationVmQuery>; body: undefined; answer: z.output<typeof planMigrations.PlanMigrationVmPage> };
  listPlanMigrations: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof planMigrations.PlanMigrationPage> };
  listPlans: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof catalogue.PlanPage> };
  listResizeOptions: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof resizes.ResizeOptions> };
  listStaffVms: { path: {}; query: z.input<typeof staffVms.StaffVmQuery>; body: undefined; answer: z.output<typeof staffVms.StaffVmPage> };
  listTokens: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof accounts.TokenPage> };
  listVms: { path: {}; query: z.input<typeof page.PageQuery>; body: undefined; answer: z.output<typeof vms.VmPage> };
  migratePlans: { path: {}; query: {}; body: z.input<typeof planMigrations.MigratePlans>; answer: z.output<typeof planMigrations.PlanMigrationDetails> };
  migrateVm: { path: { id: string }; query: {}; body: z.input<typeof moves.MigrateVm>; answer: z.output<typeof moves.MovePlanView> | z.output<typeof moves.BegunMoveView> };
  offerTrials: { path: {}; query: {}; body: z.input<typeof catalogue.OfferTrials>; answer: z.output<typeof forced.ForcedView> };
  openCardPage: { path: {}; query: {}; body: z.input<typeof cards.OpenCardPage>; answer: z.output<typeof cards.CardPageView> };
  openPortal: { path: {}; query: {}; body: z.input<typeof cards.OpenPortal>; answer: z.output<typeof cards.PortalView> };
  placeOrder: { path: {}; query: {}; body: z.input<typeof orders.PlaceOrder>; answer: z.output<typeof orders.PlacedOrder> };
  planMaintenance: { path: { id: string }; query: {}; body: z.input<typeof hosts.PlanMaintenance>; answer: z.output<typeof forced.ForcedView> };
  quoteResize: { path: { id: string }; query: {}; body: z.input<typeof resizes.QuoteResize>; answer: z.output<typeof resizes.QuotedResize> };
  recordRestore: { path: {}; query: {}; body: z.input<typeof restores.RecordRestore>; answer: z.output<typeof restores.RestoreView> };
  registerAgentRelease: { path: {}; query: {}; body: z.input<typeof fleet.RegisterRelease>; answer: z.output<typeof fleet.ReleaseView> };
  reopenAccount: { path: { id: string }; query: {}; body: z.input<typeof staffActs.ForcedByReason>; answer: z.output<typeof forced.ForcedView> };
  repairHost: { path: { id: string }; query: {}; body: z.input<typeof vms.RepairHost>; answer: z.output<typeof vms.HostRepairView> };
  repairVm: { path: { id: string }; query: {}; body: z.input<typeof vms.RepairVm>; answer: z.output<typeof vms.RepairPlanView> | z.output<typeof vms.RequestedAction> };
  requestAction: { path: { id: string }; query: {}; body: z.input<typeof vms.RequestAction>; answer: z.output<typeof vms.RequestedAction> };
  resendMail: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof mails.MailView> };
  resizeForStaff: { path: { id: string }; query: {}; body: z.input<typeof resizes.ResizeForStaff>; answer: z.output<typeof resizes.StaffResizePlan> | z.output<typeof vms.RequestedAction> };
  retireHost: { path: { id: string }; query: {}; body: z.input<typeof hosts.MoveHost>; answer: z.output<typeof forced.ForcedView> };
  reviveVm: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof vms.Revival> };
  revokeToken: { path: { id: string }; query: {}; body: undefined; answer: null };
  search: { path: {}; query: z.input<typeof search.SearchQuery>; body: undefined; answer: z.output<typeof search.SearchResult> };
  setImageSource: { path: { id: string }; query: {}; body: z.input<typeof catalogue.SetImageSource>; answer: z.output<typeof catalogue.ImageSourceView> };
  showAccount: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof accountDetails.AccountDetailsView> };
  showAction: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof vms.ActionView> };
  showAgentRollout: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof fleet.RolloutView> };
  showDrain: { path: { id: string }; query: z.input<typeof drains.DrainQuery>; body: undefined; answer: z.output<typeof drains.DrainDetails> };
  showHost: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof hostStanding.HostDetailsView> };
  showInvoice: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof billing.InvoiceView> };
  showMail: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof mails.MailDetailsView> };
  showMe: { path: {}; query: {}; body: undefined; answer: z.output<typeof accounts.Me> };
  showMove: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof moves.MoveView> };
  showOrder: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof orders.OrderView> };
  showPaymentMethod: { path: {}; query: {}; body: undefined; answer: z.output<typeof cards.PaymentMethodAnswer> };
  showPlanMigration: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof planMigrations.PlanMigrationDetails> };
  showStaffVm: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof staffVms.StaffVmView> };
  showUsage: { path: { id: string }; query: z.input<typeof usage.UsageQuery>; body: undefined; answer: z.output<typeof usage.UsageView> };
  showVm: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof vms.VmView> };
  stopMove: { path: { id: string }; query: {}; body: z.input<typeof moves.StopMove>; answer: z.output<typeof moves.StoppedMoveView> };
  suspendVm: { path: { id: string }; query: {}; body: z.input<typeof staffActs.SuspendVm>; answer: z.output<typeof forced.ForcedView> };
  syncCatalogue: { path: {}; query: {}; body: z.input<typeof catalogueSync.SyncCatalogue>; answer: z.output<typeof catalogueSync.CatalogueSyncView> };
  takeInitialPassword: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof vms.InitialPasswordView> };
  uncancelVm: { path: { id: string }; query: {}; body: undefined; answer: z.output<typeof vms.VmView> };
  uncancelVmForCustomer: { path: { id: string }; query: {}; body: z.input<typeof staffActs.ForcedByReason>; answer: z.output<typeof forced.ForcedView> };
  unsuspendVm: { path: { id: string }; query: {}; body: z.input<typeof staffActs.SuspendVm>; answer: z.output<typeof forced.ForcedView> };
  withdrawDestroyRequest: { path: { id: string }; query: {}; body: undefined; answer: null };
};

/** How each is called. A schema is loaded with the first answer that it checks. */
export const OPERATIONS: { readonly [N in keyof Operations]: Operation<Operations[N]["answer"]> } = {
  activateHost: { method: "POST", path: "/staff/v1/hosts/{id}/activate", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  addAccountNote: { method: "POST", path: "/staff/v1/accounts/{id}/notes", keyed: true, answers: { 201: () => import("#core/contracts/api/account-details.ts").then((m) => m.NoteView) } },
  addHost: { method: "POST", path: "/staff/v1/hosts", keyed: true, answers: { 201: () => import("#core/contracts/api/hosts.ts").then((m) => m.AddedHost) } },
  addImage: { method: "POST", path: "/staff/v1/images", keyed: true, answers: { 201: () => import("#core/contracts/api/catalogue.ts").then((m) => m.AddedImage) } },
  addLocation: { method: "POST", path: "/staff/v1/locations", keyed: true, answers: { 201: () => import("#core/contracts/api/catalogue.ts").then((m) => m.AddedLocation) } },
  addPlan: { method: "POST", path: "/staff/v1/plans", keyed: true, answers: { 201: () => import("#core/contracts/api/catalogue.ts").then((m) => m.AddedPlan) } },
  addPlanVersion: { method: "POST", path: "/staff/v1/plans/{id}/versions", keyed: true, answers: { 201: () => import("#core/contracts/api/catalogue.ts").then((m) => m.AddedPlanVersion) } },
  addPool: { method: "POST", path: "/staff/v1/locations/{id}/pools", keyed: true, answers: { 201: () => import("#core/contracts/api/network.ts").then((m) => m.AddedPool) } },
  adoptVm: { method: "POST", path: "/staff/v1/vms/{id}/adopt", keyed: false, answers: { 200: () => import("#core/contracts/api/restores.ts").then((m) => m.AdoptionView) } },
  agreeOnDunning: { method: "POST", path: "/staff/v1/accounts/{id}/dunning", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  askToDestroyVm: { method: "POST", path: "/staff/v1/vms/{id}/destroy-requests", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView), 201: () => import("#core/contracts/api/staff-acts.ts").then((m) => m.DestroyRequestView) } },
  beginAgentRollout: { method: "POST", path: "/staff/v1/agent-rollouts", keyed: true, answers: { 201: () => import("#core/contracts/api/fleet.ts").then((m) => m.RolloutView) } },
  cancelAction: { method: "POST", path: "/staff/v1/vms/{id}/actions/{actionId}/cancel", keyed: false, answers: { 200: () => import("#core/contracts/api/staff-vms.ts").then((m) => m.CalledOffView) } },
  cancelMaintenance: { method: "POST", path: "/staff/v1/hosts/{id}/maintenance/cancel", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  cancelResize: { method: "POST", path: "/v1/vms/{id}/resize/cancel", keyed: false, answers: { 202: () => import("#core/contracts/api/vms.ts").then((m) => m.RequestedAction) } },
  cancelVm: { method: "POST", path: "/v1/vms/{id}/cancel", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.VmView) } },
  cancelVmForCustomer: { method: "POST", path: "/staff/v1/vms/{id}/cancel", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  changeAgentRollout: { method: "PATCH", path: "/staff/v1/agent-rollouts/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/fleet.ts").then((m) => m.RolloutView) } },
  changeHost: { method: "PATCH", path: "/staff/v1/hosts/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/hosts.ts").then((m) => m.HostView) } },
  changeMe: { method: "PATCH", path: "/v1/me", keyed: false, answers: { 200: () => import("#core/contracts/api/accounts.ts").then((m) => m.Me) } },
  changePlanMigration: { method: "PATCH", path: "/staff/v1/plan-migrations/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/plan-migrations.ts").then((m) => m.PlanMigrationDetails) } },
  changeVm: { method: "PATCH", path: "/v1/vms/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.VmView) } },
  clearMailAddress: { method: "POST", path: "/staff/v1/mails/{id}/clear-address", keyed: false, answers: { 200: () => import("#core/contracts/api/mails.ts").then((m) => m.MailDetailsView) } },
  closeAccount: { method: "POST", path: "/staff/v1/accounts/{id}/close", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  confirmDestroyRequest: { method: "POST", path: "/staff/v1/destroy-requests/{id}/confirm", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView), 202: () => import("#core/contracts/api/vms.ts").then((m) => m.RequestedAction) } },
  cordonHost: { method: "POST", path: "/staff/v1/hosts/{id}/cordon", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  createToken: { method: "POST", path: "/v1/tokens", keyed: true, answers: { 201: () => import("#core/contracts/api/accounts.ts").then((m) => m.CreatedToken) } },
  deleteVm: { method: "DELETE", path: "/v1/vms/{id}", keyed: false, answers: { 202: () => import("#core/contracts/api/vms.ts").then((m) => m.RequestedAction) } },
  drainHost: { method: "POST", path: "/staff/v1/hosts/{id}/drain", keyed: false, answers: { 200: () => import("#core/contracts/api/drains.ts").then((m) => m.DrainPlanView) } },
  endImpersonation: { method: "DELETE", path: "/staff/v1/accounts/{id}/impersonation", keyed: false, answers: { 204: () => import("./nothing.ts").then((m) => m.Nothing) } },
  extendEntitlement: { method: "POST", path: "/staff/v1/vms/{id}/extend", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  impersonate: { method: "POST", path: "/staff/v1/accounts/{id}/impersonation", keyed: false, answers: { 201: () => import("#core/contracts/api/staff-acts.ts").then((m) => m.ImpersonationView) } },
  issueJoinToken: { method: "POST", path: "/staff/v1/hosts/{id}/join-tokens", keyed: true, answers: { 201: () => import("#core/contracts/api/hosts.ts").then((m) => m.AddedHost) } },
  keepFromSuspension: { method: "POST", path: "/staff/v1/vms/{id}/never-suspend", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  listAccounts: { method: "GET", path: "/staff/v1/accounts", keyed: false, answers: { 200: () => import("#core/contracts/api/accounts.ts").then((m) => m.AccountPage) } },
  listActions: { method: "GET", path: "/staff/v1/actions", keyed: false, answers: { 200: () => import("#core/contracts/api/staff-vms.ts").then((m) => m.StaffActionPage) } },
  listAgentReleases: { method: "GET", path: "/staff/v1/agent-releases", keyed: false, answers: { 200: () => import("#core/contracts/api/fleet.ts").then((m) => m.ReleasePage) } },
  listAgentRollouts: { method: "GET", path: "/staff/v1/agent-rollouts", keyed: false, answers: { 200: () => import("#core/contracts/api/fleet.ts").then((m) => m.RolloutPage) } },
  listAudit: { method: "GET", path: "/staff/v1/audit", keyed: false, answers: { 200: () => import("#core/contracts/api/audit.ts").then((m) => m.AuditPage) } },
  listDestroyRequests: { method: "GET", path: "/staff/v1/destroy-requests", keyed: false, answers: { 200: () => import("#core/contracts/api/staff-acts.ts").then((m) => m.DestroyRequestPage) } },
  listFindings: { method: "GET", path: "/staff/v1/findings", keyed: false, answers: { 200: () => import("#core/contracts/api/findings.ts").then((m) => m.FindingPage) } },
  listHosts: { method: "GET", path: "/staff/v1/hosts", keyed: false, answers: { 200: () => import("#core/contracts/api/host-standing.ts").then((m) => m.HostStandingPage) } },
  listHostsOfImage: { method: "GET", path: "/staff/v1/images/{id}/hosts", keyed: false, answers: { 200: () => import("#core/contracts/api/catalogue.ts").then((m) => m.HostImagePage) } },
  listImages: { method: "GET", path: "/v1/images", keyed: false, answers: { 200: () => import("#core/contracts/api/catalogue.ts").then((m) => m.ImagePage) } },
  listInvoices: { method: "GET", path: "/v1/invoices", keyed: false, answers: { 200: () => import("#core/contracts/api/billing.ts").then((m) => m.InvoicePage) } },
  listLocations: { method: "GET", path: "/v1/locations", keyed: false, answers: { 200: () => import("#core/contracts/api/catalogue.ts").then((m) => m.LocationPage) } },
  listMails: { method: "GET", path: "/staff/v1/mails", keyed: false, answers: { 200: () => import("#core/contracts/api/mails.ts").then((m) => m.MailPage) } },
  listMoves: { method: "GET", path: "/staff/v1/moves", keyed: false, answers: { 200: () => import("#core/contracts/api/moves.ts").then((m) => m.MovePage) } },
  listOrders: { method: "GET", path: "/staff/v1/orders", keyed: false, answers: { 200: () => import("#core/contracts/api/orders.ts").then((m) => m.OrderPage) } },
  listPlanMigrationVms: { method: "GET", path: "/staff/v1/plan-migrations/{id}/vms", keyed: false, answers: { 200: () => import("#core/contracts/api/plan-migrations.ts").then((m) => m.PlanMigrationVmPage) } },
  listPlanMigrations: { method: "GET", path: "/staff/v1/plan-migrations", keyed: false, answers: { 200: () => import("#core/contracts/api/plan-migrations.ts").then((m) => m.PlanMigrationPage) } },
  listPlans: { method: "GET", path: "/v1/plans", keyed: false, answers: { 200: () => import("#core/contracts/api/catalogue.ts").then((m) => m.PlanPage) } },
  listResizeOptions: { method: "GET", path: "/v1/vms/{id}/resize-options", keyed: false, answers: { 200: () => import("#core/contracts/api/resizes.ts").then((m) => m.ResizeOptions) } },
  listStaffVms: { method: "GET", path: "/staff/v1/vms", keyed: false, answers: { 200: () => import("#core/contracts/api/staff-vms.ts").then((m) => m.StaffVmPage) } },
  listTokens: { method: "GET", path: "/v1/tokens", keyed: false, answers: { 200: () => import("#core/contracts/api/accounts.ts").then((m) => m.TokenPage) } },
  listVms: { method: "GET", path: "/v1/vms", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.VmPage) } },
  migratePlans: { method: "POST", path: "/staff/v1/plan-migrations", keyed: false, answers: { 200: () => import("#core/contracts/api/plan-migrations.ts").then((m) => m.PlanMigrationDetails), 202: () => import("#core/contracts/api/plan-migrations.ts").then((m) => m.PlanMigrationDetails) } },
  migrateVm: { method: "POST", path: "/staff/v1/vms/{id}/migrate", keyed: true, answers: { 200: () => import("#core/contracts/api/moves.ts").then((m) => m.MovePlanView), 202: () => import("#core/contracts/api/moves.ts").then((m) => m.BegunMoveView) } },
  offerTrials: { method: "POST", path: "/staff/v1/trials/terms", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  openCardPage: { method: "POST", path: "/v1/billing/card-session", keyed: false, answers: { 201: () => import("#core/contracts/api/cards.ts").then((m) => m.CardPageView) } },
  openPortal: { method: "POST", path: "/v1/billing/portal-session", keyed: false, answers: { 201: () => import("#core/contracts/api/cards.ts").then((m) => m.PortalView) } },
  placeOrder: { method: "POST", path: "/v1/orders", keyed: true, answers: { 200: () => import("#core/contracts/api/orders.ts").then((m) => m.PlacedOrder), 201: () => import("#core/contracts/api/orders.ts").then((m) => m.PlacedOrder), 202: () => import("#core/contracts/api/orders.ts").then((m) => m.PlacedOrder) } },
  planMaintenance: { method: "POST", path: "/staff/v1/hosts/{id}/maintenance", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  quoteResize: { method: "POST", path: "/v1/vms/{id}/resize-quotes", keyed: true, answers: { 200: () => import("#core/contracts/api/resizes.ts").then((m) => m.QuotedResize), 201: () => import("#core/contracts/api/resizes.ts").then((m) => m.QuotedResize) } },
  recordRestore: { method: "POST", path: "/staff/v1/restores", keyed: false, answers: { 200: () => import("#core/contracts/api/restores.ts").then((m) => m.RestoreView) } },
  registerAgentRelease: { method: "POST", path: "/staff/v1/agent-releases", keyed: true, answers: { 201: () => import("#core/contracts/api/fleet.ts").then((m) => m.ReleaseView) } },
  reopenAccount: { method: "POST", path: "/staff/v1/accounts/{id}/reopen", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  repairHost: { method: "POST", path: "/staff/v1/hosts/{id}/repair", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.HostRepairView), 202: () => import("#core/contracts/api/vms.ts").then((m) => m.HostRepairView) } },
  repairVm: { method: "POST", path: "/staff/v1/vms/{id}/repair", keyed: true, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.RepairPlanView), 202: () => import("#core/contracts/api/vms.ts").then((m) => m.RequestedAction) } },
  requestAction: { method: "POST", path: "/v1/vms/{id}/actions", keyed: true, answers: { 202: () => import("#core/contracts/api/vms.ts").then((m) => m.RequestedAction) } },
  resendMail: { method: "POST", path: "/staff/v1/mails/{id}/resend", keyed: true, answers: { 201: () => import("#core/contracts/api/mails.ts").then((m) => m.MailView) } },
  resizeForStaff: { method: "POST", path: "/staff/v1/vms/{id}/resize", keyed: true, answers: { 200: () => import("#core/contracts/api/resizes.ts").then((m) => m.StaffResizePlan), 202: () => import("#core/contracts/api/vms.ts").then((m) => m.RequestedAction) } },
  retireHost: { method: "POST", path: "/staff/v1/hosts/{id}/retire", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  reviveVm: { method: "POST", path: "/v1/vms/{id}/revive", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.Revival) } },
  revokeToken: { method: "DELETE", path: "/v1/tokens/{id}", keyed: false, answers: { 204: () => import("./nothing.ts").then((m) => m.Nothing) } },
  search: { method: "GET", path: "/staff/v1/search", keyed: false, answers: { 200: () => import("#core/contracts/api/search.ts").then((m) => m.SearchResult) } },
  setImageSource: { method: "POST", path: "/staff/v1/images/{id}/sources", keyed: false, answers: { 200: () => import("#core/contracts/api/catalogue.ts").then((m) => m.ImageSourceView) } },
  showAccount: { method: "GET", path: "/staff/v1/accounts/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/account-details.ts").then((m) => m.AccountDetailsView) } },
  showAction: { method: "GET", path: "/v1/actions/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.ActionView) } },
  showAgentRollout: { method: "GET", path: "/staff/v1/agent-rollouts/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/fleet.ts").then((m) => m.RolloutView) } },
  showDrain: { method: "GET", path: "/staff/v1/hosts/{id}/drain", keyed: false, answers: { 200: () => import("#core/contracts/api/drains.ts").then((m) => m.DrainDetails) } },
  showHost: { method: "GET", path: "/staff/v1/hosts/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/host-standing.ts").then((m) => m.HostDetailsView) } },
  showInvoice: { method: "GET", path: "/v1/invoices/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/billing.ts").then((m) => m.InvoiceView) } },
  showMail: { method: "GET", path: "/staff/v1/mails/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/mails.ts").then((m) => m.MailDetailsView) } },
  showMe: { method: "GET", path: "/v1/me", keyed: false, answers: { 200: () => import("#core/contracts/api/accounts.ts").then((m) => m.Me) } },
  showMove: { method: "GET", path: "/staff/v1/moves/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/moves.ts").then((m) => m.MoveView) } },
  showOrder: { method: "GET", path: "/v1/orders/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/orders.ts").then((m) => m.OrderView) } },
  showPaymentMethod: { method: "GET", path: "/v1/billing/payment-method", keyed: false, answers: { 200: () => import("#core/contracts/api/cards.ts").then((m) => m.PaymentMethodAnswer) } },
  showPlanMigration: { method: "GET", path: "/staff/v1/plan-migrations/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/plan-migrations.ts").then((m) => m.PlanMigrationDetails) } },
  showStaffVm: { method: "GET", path: "/staff/v1/vms/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/staff-vms.ts").then((m) => m.StaffVmView) } },
  showUsage: { method: "GET", path: "/v1/vms/{id}/usage", keyed: false, answers: { 200: () => import("#core/contracts/api/usage.ts").then((m) => m.UsageView) } },
  showVm: { method: "GET", path: "/v1/vms/{id}", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.VmView) } },
  stopMove: { method: "POST", path: "/staff/v1/moves/{id}/stop", keyed: false, answers: { 200: () => import("#core/contracts/api/moves.ts").then((m) => m.StoppedMoveView) } },
  suspendVm: { method: "POST", path: "/staff/v1/vms/{id}/suspend", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  syncCatalogue: { method: "POST", path: "/staff/v1/catalogue/sync", keyed: false, answers: { 200: () => import("#core/contracts/api/catalogue-sync.ts").then((m) => m.CatalogueSyncView) } },
  takeInitialPassword: { method: "POST", path: "/v1/vms/{id}/initial-password", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.InitialPasswordView) } },
  uncancelVm: { method: "DELETE", path: "/v1/vms/{id}/cancel", keyed: false, answers: { 200: () => import("#core/contracts/api/vms.ts").then((m) => m.VmView) } },
  uncancelVmForCustomer: { method: "POST", path: "/staff/v1/vms/{id}/uncancel", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  unsuspendVm: { method: "POST", path: "/staff/v1/vms/{id}/unsuspend", keyed: false, answers: { 200: () => import("#core/contracts/api/forced.ts").then((m) => m.ForcedView) } },
  withdrawDestroyRequest: { method: "DELETE", path: "/staff/v1/destroy-requests/{id}", keyed: false, answers: { 204: () => import("./nothing.ts").then((m) => m.Nothing) } },
};
