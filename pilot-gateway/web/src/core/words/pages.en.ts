/** English, the source: the pages around the drive. */
import type { Language } from "../language";
import { plurals } from "./plural";

const plural = plurals("en");

/** What to do about a problem, by its stable code; null where the server's own words are enough. */
type ProblemWords = Readonly<Record<string, string>>;

export const pagesEn = {
  /** Of the words themselves. */
  language: "en" as Language,
  shell: {
    skip: "Skip to the content",
    main: "Main",
    missions: "Missions",
    episodes: "Episodes",
    robots: "Robots",
    account: "Account",
    safety: "Safety",
    settings: "Settings",
    check: "Check",
    tryAgain: "Try again",
    noPage: "There is no such page",
    toMissions: "Go to the missions",
    lookingForKey: "Looking for your key",
  },
  /** In English the server's own words are shown. */
  problems: {} as ProblemWords,
  own: {
    noAnswer: "The server does not answer. Check your connection; this page tries again.",
    oddAnswer: "The server's answer can't be read. Reload the page; if it stays, tell the operator.",
    noKeyStore:
      "This browser does not let the page keep a key. Leave private browsing, or use another browser.",
    badCode:
      "This invitation is not valid: it was used, has expired, or was copied incompletely. Ask for a new link.",
    noEd25519: "This browser can't make or keep an Ed25519 key. Use a current browser.",
  },
  pages: {
    missionStates: {
      draft: "draft",
      funded: "not yet open",
      open: "open",
      offered: "offered",
      assigned: "taken",
      active: "being driven",
      verifying: "being checked",
      settled: "paid",
    } as Readonly<Record<string, string>>,
    episodeStates: {
      recording: "recording",
      uploading: "uploading",
      accepted: "verified",
      refused: "refused",
    } as Readonly<Record<string, string>>,
    roles: {
      pilot: "pilot",
      agent: "agent",
      owner: "owner",
      operator: "operator",
      gateway: "gateway",
    } as Readonly<Record<string, string>>,
  },
  welcome: {
    title: "Drive sidewalk robots from here.",
    intro:
      "Pilots come by invitation: open the link that an operator sent you. If you have been here before with another browser, bring your key file.",
    useKey: "Use a key file",
    noKey: "That is no Ed25519 key file. It starts with '-----BEGIN PRIVATE KEY-----'.",
    unknownKey: "The fleet does not know this key.",
  },
  join: {
    belongsTo: "This browser already belongs to",
    invites: (who: string, how: string) => `${who} invites you ${how}.`,
    anOperator: "An operator",
    as: {
      pilot: "to drive robots as a pilot",
      agent: "to let a program drive",
      owner: "as an owner of robots",
      operator: "to run the fleet",
      gateway: "as a gateway",
    } as Readonly<Record<string, string>>,
    asOther: (role: string) => `as ${role}`,
    key: "This browser makes a key of its own. It is your sign-in: no password, nothing to remember. The key stays here; you can save it to a file later, on the account page.",
    name: "Your name, as others will see it",
    making: "Making your key",
    make: "Make my key and join",
  },
  missions: {
    title: "Missions",
    waiting: (count: number) =>
      plural(count, { one: "1 waits for a driver", other: `${count} wait for a driver` }),
    none: "No missions yet",
    noneDetail: "When an operator opens one it appears here by itself. You don't need to reload.",
    credits: "credits",
    checkpoints: (count: number) => plural(count, { one: "checkpoint", other: "checkpoints" }),
    online: "online",
    offline: "offline",
    battery: (percent: string) => `, battery ${percent}`,
    driveOn: "Drive on",
    take: "Take and drive",
    check: "Check browser and connection first",
  },
  episodes: {
    title: "Episodes",
    intro: "Every drive is one signed recording.",
    none: "Nothing recorded yet",
    noneDetail: "Drive a mission: its recording appears here when you end it.",
    mission: "Mission",
    started: "Started",
    driver: "Driver",
    time: "Time",
    way: "Way",
    size: "Size",
    earned: "Earned",
    state: "State",
    freeDrive: "Free drive",
    verification: "Verification",
    refused: "Refused",
    nothingPaid: "Nothing was paid for this drive.",
    robot: "Robot",
    timeWay: "Time, way",
    files: "Files",
    you: "you, the pilot",
    operator: "operator",
    fetching: "fetching",
    offline: "Put the files into one folder; anyone can check them offline:",
    checks: {
      "robot signature": "robot signature",
      "driver signature": "driver signature",
      lease: "lease",
      folder: "folder",
      files: "files",
      contents: "contents",
      receipts: "receipts",
      statement: "statement",
      "ingest receipt": "ingest receipt",
    } as Readonly<Record<string, string>>,
    outcomes: { passed: "passed", failed: "failed", not_checked: "not checked" },
  },
  phone: {
    title: "Drive from a phone",
    how: "Point the phone's camera at the code. The phone must be in the same network as this gateway.",
    qr: "The address as a QR code",
    qrJoin: "A link for one new pilot as a QR code",
    join: (minutes: number) => `This link makes one new pilot. It works once and for ${minutes} minutes.`,
    invite: "Make a link for a new pilot",
    key: "The code holds the address only. To be the same pilot there, bring your key file; or have an operator make a link for a new pilot.",
    warning: "The phone warns about the certificate",
    compare:
      "The gateway made its certificate itself, so the phone does not know it. Compare the SHA-256 that the phone shows with this one, then go on:",
    install: "Or install the gateway's root once, and it warns no more:",
    root: "the root certificate",
    bounds: "It can speak for private addresses and local names only. Its SHA-256:",
  },
  account: {
    title: "Account",
    balance: "Balance",
    earned: (amount: string) => `${amount} earned so far, paid when a drive's recording is accepted.`,
    copied: "Copied",
    copy: "Copy the name of my key",
    key: "Key",
    keyWords:
      "Your key is your sign-in and signs what you drive. It lies in this browser only: save it, or clearing the browser's data locks you out.",
    save: "Save the key to a file",
    saved: "Saved as longrein-key.pem. Whoever has this file can drive in your name.",
    remove: "Remove the key from this browser",
  },
};
