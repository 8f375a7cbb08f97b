import {
  code,
  fields,
  link,
  list,
  text,
  type Formats,
  type Letter,
} from "#core/messages/letter.ts";
import type { Letters, MailValues } from "#core/messages/mail-values.ts";

const RUNS_AGAIN = "Делать ничего не нужно: работавший сервер снова будет запущен.";

const SUSPENDED = {
  overdue: "Он не оплачен. После оплаты он снова запустится.",
  abuse: "На него поступила жалоба. Ответьте, пожалуйста, нашей поддержке: она снимет блокировку.",
  bandwidth:
    "Его трафик намного превысил допустимый по тарифу. Обратитесь, пожалуйста, в поддержку.",
  dispute: "Платёж за него оспаривается в банке. Обратитесь, пожалуйста, в поддержку.",
  staff: "Его остановили наши сотрудники. Обратитесь, пожалуйста, в поддержку.",
} as const;

type Told = MailValues["maintenance"];
const NOTICES: Record<
  Told["window"],
  Record<Told["notice"], Readonly<{ subject: string; says: (when: string) => string }>>
> = {
  maintenance: {
    announced: {
      subject: "Обслуживание ваших серверов",
      says: (when) =>
        `Мы обслуживаем машину, на которой работают ваши серверы: ${when}. В это время они могут перезапускаться и некоторое время быть недоступны.`,
    },
    moved: {
      subject: "Обслуживание ваших серверов: другое время",
      says: (when) =>
        `Обслуживание, о котором мы писали, перенесено: ${when}. В это время ваши серверы могут перезапускаться и некоторое время быть недоступны.`,
    },
    cancelled: {
      subject: "Обслуживание ваших серверов отменено",
      says: (when) =>
        `Обслуживание, о котором мы писали (${when}), отменено. С вашими серверами ничего не произойдёт.`,
    },
  },
  drain: {
    announced: {
      subject: "Перенос ваших серверов",
      says: (when) =>
        `Мы переносим ваши серверы на другую машину: ${when}. В это время каждый может быть один раз выключен и недоступен, пока копируется его диск. Адреса и все данные останутся прежними.`,
    },
    moved: {
      subject: "Перенос ваших серверов: другое время",
      says: (when) =>
        `Перенос на другую машину, о котором мы писали, назначен на другое время: ${when}. В это время каждый сервер может быть один раз выключен и недоступен, пока копируется его диск.`,
    },
    cancelled: {
      subject: "Перенос ваших серверов отменён",
      says: (when) =>
        `Перенос на другую машину, о котором мы писали (${when}), отменён. Эти серверы остаются на месте.`,
    },
  },
};

const TRIAL_REFUSED: Readonly<Record<MailValues["trial_refused"]["why"], string>> = {
  trial_used: "У вас уже был пробный период, а он даётся каждому клиенту один раз.",
  trial_card_known: "С этой картой пробный период уже был, а он даётся на каждую карту один раз.",
  trial_card_unrecognised:
    "Для пробного периода нужна карта, номер которой введён на странице: по кошельку, Link или банковскому счёту нельзя понять, был ли он раньше.",
  trial_card_missing: "Для пробного периода нужна карта, а её не указали.",
};
const PER: Readonly<Record<MailValues["trial_ends"]["interval"], string>> = {
  hour: "в час",
  month: "в месяц",
  year: "в год",
};

type Migrated = MailValues["plan_migration"]["vms"][number];
const sizeOf = ({ vcpus, memoryMib, diskGib }: Migrated["from"]): string =>
  `${vcpus} vCPU, ${memoryMib} МиБ памяти и ${diskGib} ГиБ диска`;

function downOf({ method, downSeconds }: Migrated, { count }: Formats): string {
  if (downSeconds === 0) return "работа не прерывается";
  return method === "move"
    ? `сервер перезапустится и будет недоступен не дольше ${count(Math.ceil(downSeconds / 60), { one: "минуты", other: "минут" })}`
    : `сервер один раз перезапустится и будет недоступен не дольше ${downSeconds} с`;
}

function migrated(vm: Migrated, formats: Formats): string {
  const parts = [`${sizeOf(vm.from)} → ${sizeOf(vm.to)}`, downOf(vm, formats)];
  if (vm.difference !== null && vm.difference.minor !== "0") {
    const falls = vm.difference.minor.startsWith("-");
    const sum = formats.money({ ...vm.difference, minor: vm.difference.minor.replace("-", "") });
    parts.push(`цена за период ${falls ? "снизится" : "вырастет"} на ${sum} без налога`);
  }
  return `${vm.hostname}: ${parts.join("; ")}`;
}

const waysIn = ({ user, by, addresses, vm }: MailValues["vm_ready"]): Letter["blocks"] => {
  const host = addresses[0] ?? "";
  if (by === "remote_desktop")
    return [
      text(
        "Получите пароль (его показывают один раз) и подключитесь по удалённому рабочему столу:",
      ),
      code(`berth vm password ${vm}`, `mstsc /v:${host}`),
    ];
  return by === "ssh_password"
    ? [
        text("Получите пароль (его показывают один раз) и войдите с ним:"),
        code(`berth vm password ${vm}`, `ssh ${user}@${host}`),
      ]
    : [text("Войдите с ключом из вашего заказа:"), code(`ssh ${user}@${host}`)];
};

/** All letters in Russian. */
export const RUSSIAN: Letters = {
  prove_email: (_, { link: href }) => ({
    subject: "Это ваш адрес?",
    blocks: [
      text(
        "С этим адресом была создана учётная запись. Если это сделали вы, откройте эту страницу в течение суток:",
      ),
      link(href),
      text("Если это были не вы, делать ничего не нужно."),
    ],
  }),
  reset_password: (_, { link: href }) => ({
    subject: "Новый пароль",
    blocks: [
      text(
        "Кто-то, вероятно вы, забыл пароль учётной записи с этим адресом. Новый можно выбрать здесь в течение часа:",
      ),
      link(href),
      text("Если это были не вы, делать ничего не нужно: пароль остался прежним."),
    ],
  }),
  change_email: (_, { link: href }) => ({
    subject: "Это ваш новый адрес?",
    blocks: [
      text(
        "Владелец учётной записи у нас хочет, чтобы отныне у неё был этот адрес. Если это вы, откройте эту страницу в течение часа:",
      ),
      link(href),
      text("Если это были не вы, делать ничего не нужно: ничего не изменится."),
    ],
  }),
  email_change_asked: ({ at, newAddress }, { formats }) => ({
    subject: "Запрошена смена адреса вашей учётной записи",
    blocks: [
      text(
        "Кто-то, кто знает ваш пароль, попросил сменить адрес электронной почты вашей учётной записи. Он сменится, когда будет открыта ссылка, отправленная на новый адрес:",
      ),
      fields([
        ["когда", formats.instant(at)],
        ["новый адрес", newAddress],
      ]),
      text(
        "Если это были вы, здесь делать ничего не нужно. Если нет, сразу смените пароль: все остальные сеансы при этом завершатся, а ссылка перестанет действовать.",
      ),
    ],
  }),
  email_changed: ({ at, newAddress }, { formats }) => ({
    subject: "Адрес вашей учётной записи изменён",
    blocks: [
      text(
        "У вашей учётной записи теперь другой адрес электронной почты. Входить нужно с ним, и писать мы будем на него:",
      ),
      fields([
        ["когда", formats.instant(at)],
        ["новый адрес", newAddress],
      ]),
      text("Если вы этого не хотели, сразу напишите нашей поддержке."),
    ],
  }),
  new_log_in: ({ at, address, agent }, { formats }) => ({
    subject: "Вход с нового места",
    blocks: [
      text("Ваш пароль был введён там, откуда раньше не входили:"),
      fields([
        ["когда", formats.instant(at)],
        ["адрес", address],
        ["программа", agent ?? "неизвестна"],
      ]),
      text(
        "Если это были вы, делать ничего не нужно. Если нет, сразу смените пароль (все остальные сеансы при этом завершатся) и включите второй фактор.",
      ),
    ],
  }),
  order_received: ({ hostname, plan, total, trialDays, payable }, { formats }) => ({
    subject: `Ваш заказ ${hostname}`,
    blocks: [
      text("Спасибо, мы получили ваш заказ:"),
      fields([
        ["сервер", hostname],
        ["тариф", plan],
        ["цена", formats.money(total)],
        ...(trialDays === null
          ? []
          : ([
              [
                "пробный период",
                `${formats.count(trialDays, { one: "день", few: "дня", many: "дней", other: "дня" })} бесплатно`,
              ],
            ] as const)),
      ]),
      ...(payable === null
        ? [
            text(
              `${trialDays === null ? "Он оплачен. " : ""}Сервер создаётся: мы напишем, когда он будет готов.`,
            ),
          ]
        : [
            text(
              trialDays === null
                ? `Он ещё не оплачен и ждёт оплаты до ${formats.instant(payable.until)}. До оплаты ничего не создаётся, и вы ничего не должны.`
                : `Он ждёт вас на этой странице до ${formats.instant(payable.until)}. До этого ничего не создаётся.`,
            ),
            ...(payable.url === null ? [] : [link(payable.url)]),
          ]),
    ],
  }),
  trial_refused: ({ hostname, plan, price, interval, why }, { formats }) => ({
    subject: `Пробный период для ${hostname} не начат`,
    blocks: [
      text(`${TRIAL_REFUSED[why]} Ничего не создано, плата не взималась.`),
      text(
        `Сервер можно заказать и без пробного периода: ${plan} стоит ${formats.money(price)} ${PER[interval]}. Закажите его снова и оплатите на открывшейся странице.`,
      ),
    ],
  }),
  trial_ends: ({ hostname, endsAt, price, interval, endsIn }, { formats }) => {
    const end = formats.instant(endsAt);
    const cost = `${formats.money(price)} ${PER[interval]}`;
    return {
      subject: `Пробный период для ${hostname} заканчивается ${formats.day(endsAt)}`,
      blocks: [
        text(
          endsIn === "payment"
            ? `Пробный период вашего сервера ${hostname} заканчивается ${end}. Дальше он стоит ${cost}; эта сумма будет списана с вашей карты.`
            : `Пробный период вашего сервера ${hostname} заканчивается ${end}. Если сохранена карта, дальше он стоит ${cost}. Без карты сервер тогда остановится, и плата взиматься не будет.`,
        ),
        endsIn === "payment"
          ? text("Если вы этого не хотите, откажитесь от него заранее:")
          : text("Сохранить карту можно так:"),
        code(endsIn === "payment" ? `berth vm cancel ${hostname}` : "berth billing card"),
      ],
    };
  },
  vm_ready: (vm) => ({
    subject: `${vm.hostname} готов`,
    blocks: [
      text("Ваш сервер работает:"),
      fields([
        ["сервер", vm.hostname],
        ["адрес", vm.addresses.join(", ")],
        ["пользователь", vm.user],
      ]),
      ...waysIn(vm),
    ],
  }),
  invoice_paid: ({ number, amount, hostname, url }, { formats }) => ({
    subject: number === null ? "Ваш платёж" : `Счёт ${number} оплачен`,
    blocks: [
      text(
        `Мы получили ${formats.money(amount)}${hostname === null ? "" : ` за ${hostname}`}. Спасибо.`,
      ),
      ...(url === null ? [] : [text("Счёт:"), link(url)]),
    ],
  }),
  payment_failed: ({ number, due, hostname, url, stopsAt }, { formats }) => ({
    subject: `Платёж за ${hostname} не прошёл`,
    blocks: [
      text(
        `Нам не удалось получить ${formats.money(due)} за ${hostname}${number === null ? "" : ` (счёт ${number})`}. Если счёт не будет оплачен до ${formats.instant(stopsAt)}, сервер будет остановлен до оплаты; данные на нём сохранятся.`,
      ),
      ...(url === null
        ? [text("Мы попробуем ещё раз. Проверьте, пожалуйста, вашу карту.")]
        : [
            text("Мы попробуем ещё раз. Оплатить можно и сразу, в том числе другой картой:"),
            link(url),
          ]),
    ],
  }),
  payment_needs_confirmation: ({ due, hostname, url }, { formats }) => ({
    subject: `Подтвердите платёж за ${hostname}`,
    blocks: [
      text(
        `Ваш банк просит подтвердить платёж ${formats.money(due)} за ${hostname}. До подтверждения он не оплачен.`,
      ),
      ...(url === null
        ? [text("Страницу для подтверждения пришлёт наша поддержка: напишите ей, пожалуйста.")]
        : [text("Подтвердить можно здесь:"), link(url)]),
    ],
  }),
  payment_overdue: ({ due, hostname, url, stopsAt }, { formats }) => ({
    subject: `${hostname} не оплачен`,
    blocks: [
      text(
        `За ваш сервер ${hostname} ещё не оплачено ${formats.money(due)}. Если оплата не поступит до ${formats.instant(stopsAt)}, сервер будет остановлен; данные на нём сохранятся.`,
      ),
      ...(url === null
        ? []
        : [text("Оплатить можно здесь, в том числе другой картой:"), link(url)]),
    ],
  }),
  vm_suspended: ({ hostname, reasons }) => ({
    subject: `${hostname} приостановлен`,
    blocks: [
      text(`Ваш сервер ${hostname} остановлен. Данные на нём сохранены.`),
      list(reasons.map((reason) => SUSPENDED[reason])),
    ],
  }),
  vm_stopped_for_debt: ({ hostname, due, url, endsAt }, { formats }) => ({
    subject: `${hostname} остановлен: он не оплачен`,
    blocks: [
      text(
        `Ваш сервер ${hostname} остановлен: ${due === null ? "он не оплачен" : `не оплачено ${formats.money(due)}`}. Данные на нём сохранены. После оплаты он снова запустится сам.`,
      ),
      ...(url === null ? [] : [text("Оплатить можно здесь:"), link(url)]),
      text(`Если оплата не поступит до ${formats.instant(endsAt)}, подписка на него закончится.`),
    ],
  }),
  vm_kept_after_end: ({ hostname, keptUntil, vm }, { formats }) => ({
    subject: `Подписка на ${hostname} закончилась`,
    blocks: [
      text(
        `Подписка на ваш сервер ${hostname} закончилась, плата за него больше не взимается. Сервер выключен. Данные на нём и его адрес хранятся до ${formats.instant(keptUntil)}; потом он будет удалён.`,
      ),
      text("До этого срока его можно вернуть таким, каким он был, оплатив новый период:"),
      code(`berth vm revive ${vm}`),
    ],
  }),
  vm_terminated: ({ hostname, deletedAt }, { formats }) => ({
    subject: `${hostname} удалён`,
    blocks: [
      text(
        `Ваш сервер ${hostname} удалён ${formats.instant(deletedAt)} вместе со всеми данными. Плата за него больше не взимается.`,
      ),
      text("Если вы этого не хотели, сразу напишите в поддержку."),
    ],
  }),
  plan_migration: ({ plan, notBefore, atRenewal, vms }, { formats }) => {
    const day = formats.day(notBefore);
    return {
      subject: `Ваши серверы изменятся: ${day}`,
      blocks: [
        text(
          `${formats.count(vms.length, {
            one: "ваш сервер переходит",
            few: "ваших сервера переходят",
            other: "ваших серверов переходят",
          })} на тариф ${plan}, ${
            atRenewal
              ? `каждый в конце оплаченного периода и не раньше этого дня (UTC): ${day}`
              : `начиная с этого дня (UTC): ${day}`
          }`,
        ),
        list(vms.map((vm) => migrated(vm, formats))),
        text(
          "Делать ничего не нужно. Сервер, который перезапускается, сначала выключается, как из его собственного меню.",
        ),
      ],
    };
  },
  maintenance: ({ window, notice, startsAt, endsAt, hostnames, more }, { formats }) => {
    const { subject, says } = NOTICES[window][notice];
    const when = `с ${formats.instant(startsAt)} до ${formats.instant(endsAt)}`;
    return {
      subject,
      blocks: [
        text(says(when)),
        list([...hostnames, ...(more > 0 ? [`и ещё ${more}`] : [])]),
        ...(notice === "cancelled" ? [] : [text(RUNS_AGAIN)]),
      ],
    };
  },
};
