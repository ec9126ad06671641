// The page of GET /graphql. It speaks to this server only, and keeps its things in localStorage.
"use strict";

const WORDS = {
  en: {
    run: "Run ▸", runHint: "Ctrl+Enter", pretty: "Tidy", examples: "Examples", history: "History", variables: "Variables",
    headers: "Headers", docs: "Docs", signIn: "Sign in", signOut: "Sign out", account: "Signed in", name: "Name",
    password: "Password", token: "Token", useToken: "Use token", or: "or", search: "Search types and fields", root: "Schema",
    lang: "中文", running: "Running…", offline: "The server can't be reached.", badVariables: "Variables are not JSON: ",
    badHeaders: "Headers are not JSON: ", signFirst: "Sign in, or give a token, to run and to read the docs.",
    empty: "Nothing found.", live: "live", args: "Arguments", values: "Values", types: "Possible types", fields: "Fields", ms: "ms",
  },
  zh: {
    run: "运行 ▸", runHint: "Ctrl+Enter", pretty: "整理", examples: "示例", history: "历史", variables: "变量",
    headers: "请求头", docs: "文档", signIn: "登录", signOut: "退出", account: "已登录", name: "用户名",
    password: "密码", token: "令牌", useToken: "使用令牌", or: "或", search: "搜索类型与字段", root: "模式",
    lang: "English", running: "运行中…", offline: "无法连接服务器。", badVariables: "变量不是 JSON：",
    badHeaders: "请求头不是 JSON：", signFirst: "请先登录或填写令牌，再运行查询、查看文档。",
    empty: "没有找到。", live: "实时", args: "参数", values: "取值", types: "可能的类型", fields: "字段", ms: "毫秒",
  },
};

const EXAMPLES = [
  { en: "Who am I?", zh: "我是谁？", query: "query Me {\n  me {\n    name\n    role\n    sensitive\n    units {\n      name\n    }\n  }\n}" },
  {
    en: "Find customers", zh: "查找顾客",
    query: "query Find($search: String) {\n  customers(first: 10, search: $search, orderBy: NAME_ASC) {\n    totalCount\n    nodes {\n      id\n      name\n      phones {\n        key\n        typed\n      }\n      tags\n      homeUnit {\n        name\n      }\n      interactions(first: 3) {\n        nodes {\n          at\n          kind\n          outcome\n        }\n      }\n    }\n    pageInfo {\n      hasNextPage\n      endCursor\n    }\n  }\n}",
    variables: '{\n  "search": "lin"\n}',
  },
  {
    en: "Register a customer", zh: "登记顾客",
    query: "mutation Register($key: String!, $input: CustomerInput!) {\n  customerCreate(idempotencyKey: $key, input: $input) {\n    ... on CustomerSaved {\n      customer {\n        id\n        name\n        version\n      }\n    }\n    ... on Error {\n      code\n      path\n      message\n    }\n  }\n}",
    variables: '{\n  "key": "example-1",\n  "input": {\n    "name": "林芳",\n    "phones": ["138 0013 8000"],\n    "tags": ["oak"]\n  }\n}',
  },
  { en: "Open visits", zh: "未定的到店", query: "query Visits {\n  interactions(first: 20, where: { kind: { eq: VISIT }, outcome: { eq: OPEN } }) {\n    nodes {\n      at\n      stageReached\n      note\n      customers {\n        name\n      }\n      staff {\n        name\n      }\n    }\n  }\n}" },
  { en: "What changes", zh: "实时变化", query: "subscription Changes {\n  changes {\n    cursor\n    rows {\n      kind\n      entity\n      id\n      row {\n        ... on Customer {\n          name\n        }\n      }\n    }\n  }\n}" },
  { en: "What waits for a person", zh: "待处理的修改", query: "query Held {\n  heldChanges(first: 20) {\n    nodes {\n      cid\n      entity\n      verdict\n      code\n      message\n      device {\n        name\n      }\n      fields {\n        path\n        value\n      }\n    }\n  }\n  equalKeys(first: 20) {\n    field\n    key\n    customers {\n      name\n    }\n  }\n}" },
];

const INTROSPECTION = `query Docs { __schema { queryType { name } mutationType { name } subscriptionType { name } types {
  name kind description fields(includeDeprecated: true) { name description type { ...T } args { name description defaultValue type { ...T } } }
  inputFields { name description defaultValue type { ...T } } enumValues { name description } possibleTypes { name } } } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }`;

const $ = (id) => document.getElementById(id);
const kept = {
  get: (key, otherwise) => { try { return JSON.parse(localStorage.getItem("regulars." + key)) ?? otherwise; } catch { return otherwise; } },
  set: (key, value) => { try { localStorage.setItem("regulars." + key, JSON.stringify(value)); } catch { /* private window */ } },
};

let lang = kept.get("lang", (navigator.language || "en").startsWith("zh") ? "zh" : "en");
let token = sessionStorage.getItem("regulars.token") || "";
let schema = null;
let trail = [];
const t = (word) => WORDS[lang][word];

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// --- the editors -----------------------------------------------------------------------------------

function number(area) {
  const lines = area.previousElementSibling;
  const count = area.value.split("\n").length;
  if (lines.dataset.count !== String(count)) {
    lines.dataset.count = count;
    lines.textContent = Array.from({ length: count }, (_, i) => i + 1).join("\n");
  }
  lines.scrollTop = area.scrollTop;
}

function put(area, text) {
  area.value = text;
  number(area);
}

function onKey(event) {
  const area = event.target;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  } else if (event.key === "Tab" && !event.shiftKey) {
    event.preventDefault();
    area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
    number(area);
  } else if (event.key === "Enter") {
    event.preventDefault();
    const before = area.value.slice(0, area.selectionStart);
    const indent = before.slice(before.lastIndexOf("\n") + 1).match(/^ */)[0];
    const deeper = /[{([]\s*$/.test(before) ? "  " : "";
    area.setRangeText("\n" + indent + deeper, area.selectionStart, area.selectionEnd, "end");
    number(area);
  } else if (event.key === "Escape") {
    area.blur(); // so that Tab can leave the editor
  }
}

// Indents by brackets alone: strings and comments stay as they are.
function tidy(text) {
  let depth = 0;
  return text.split("\n").map((line) => {
    const bare = line.trim().replace(/"(?:[^"\\]|\\.)*"/g, "").replace(/#.*/, "");
    const opens = (bare.match(/[{([]/g) || []).length;
    const closes = (bare.match(/[})\]]/g) || []).length;
    const first = (bare.match(/^[})\]]+/) || [""])[0].length;
    const indented = line.trim() ? "  ".repeat(Math.max(0, depth - first)) + line.trim() : "";
    depth = Math.max(0, depth + opens - closes);
    return indented;
  }).join("\n");
}

// --- requests ------------------------------------------------------------------------------------------

async function ask(body, headers = {}) {
  const answer = await fetch("/graphql", {
    method: "POST",
    headers: {
      "content-type": "application/json", accept: "application/graphql-response+json", "accept-language": lang,
      ...(token ? { authorization: "Bearer " + token } : {}), ...headers,
    },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (answer.status === 401) signedOut();
  return [answer.status, said];
}

let listening = null;

// A subscription: its events, the latest first, until another operation is run or the page is left.
async function listen(body, headers) {
  listening = new AbortController();
  const answer = await fetch("/graphql", {
    method: "POST", signal: listening.signal, body: JSON.stringify(body),
    headers: { "content-type": "application/json", accept: "text/event-stream", "accept-language": lang, authorization: "Bearer " + token, ...headers },
  });
  if (!answer.ok) return show(await answer.json());
  const events = [];
  let text = "";
  for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.match(/^data: (.+)$/m);
      if (data) events.unshift(JSON.parse(data[1]));
    }
    show(events.slice(0, 50));
    $("status").textContent = `${events.length} ● ${t("live")}`;
  }
  $("status").textContent = `${events.length} ■`;
}

function parsed(area, complaint) {
  if (!area.value.trim()) return {};
  try { return JSON.parse(area.value); } catch (error) { throw new Error(t(complaint) + error.message); }
}

async function run() {
  const query = $("query").value;
  $("status").textContent = t("running");
  const begun = performance.now();
  try {
    const variables = parsed($("variables"), "badVariables");
    const headers = parsed($("headers"), "badHeaders");
    const named = [...query.matchAll(/\b(?:query|mutation|subscription)\s+(\w+)/g)].map((match) => match[1]);
    const before = query.slice(0, $("query").selectionStart);
    const current = named.filter((name) => new RegExp("\\b(?:query|mutation|subscription)\\s+" + name + "\\b").test(before)).pop();
    const operationName = named.length > 1 ? current || named[0] : undefined;
    const streamed = new RegExp("\\bsubscription\\b" + (operationName ? "\\s+" + operationName + "\\b" : "\\s*[\\w({]"));
    if (listening) listening.abort();
    if (streamed.test(query)) {
      remember(query, $("variables").value);
      return await listen({ query, variables, operationName }, headers);
    }
    const [status, said] = await ask({ query, variables, operationName }, headers);
    show(said);
    $("status").textContent = `${status} · ${Math.round(performance.now() - begun)} ${t("ms")}`;
    remember(query, $("variables").value);
  } catch (error) {
    $("status").textContent = "";
    if (error.name === "AbortError") return;
    $("result").textContent = error instanceof TypeError ? t("offline") : error.message;
  }
}

function show(said) {
  const result = $("result");
  result.replaceChildren();
  const text = JSON.stringify(said, null, 2);
  let at = 0;
  for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g)) {
    result.append(text.slice(at, match.index));
    const piece = match[1] || match[0];
    result.append(element("span", piece, match[2] ? "k" : match[1] ? "s" : "n"));
    at = match.index + piece.length;
  }
  result.append(text.slice(at));
}

// --- history and examples ----------------------------------------------------------------------------------

function remember(query, variables) {
  const past = kept.get("history", []).filter((item) => item.query !== query || item.variables !== variables);
  kept.set("history", [{ query, variables }, ...past].slice(0, 50));
  fillHistory();
}

function fill(select, title, labels) {
  select.replaceChildren(element("option", title), ...labels.map((label, i) => Object.assign(element("option", label), { value: i })));
}

function fillHistory() {
  fill($("history"), t("history"), kept.get("history", []).map((item) => item.query.replace(/\s+/g, " ").slice(0, 60)));
}

function choose(select, items) {
  const item = items[Number(select.value)];
  if (item) {
    put($("query"), item.query);
    put($("variables"), item.variables || "");
  }
  select.selectedIndex = 0;
}

// --- signing in -----------------------------------------------------------------------------------------------

function signedIn(given) {
  token = given;
  sessionStorage.setItem("regulars.token", token);
  $("login").hidden = true;
  $("login-error").textContent = "";
  schema = null;
  words();
  loadDocs();
}

function signedOut() {
  token = "";
  sessionStorage.removeItem("regulars.token");
  schema = null;
  $("login").hidden = false;
  words();
}

async function login(event) {
  event.preventDefault();
  try {
    const answer = await fetch("/auth/login", {
      method: "POST",
      headers: { "content-type": "application/json", "accept-language": lang },
      body: JSON.stringify({ name: $("name").value, password: $("password").value }),
    });
    const said = await answer.json();
    $("password").value = "";
    if (answer.ok) signedIn(said.token);
    else $("login-error").textContent = said.message;
  } catch {
    $("login-error").textContent = t("offline");
  }
}

// --- docs --------------------------------------------------------------------------------------------------------

async function loadDocs() {
  if (schema || !token) return render();
  try {
    const [, said] = await ask({ query: INTROSPECTION });
    if (said.data) {
      const types = said.data.__schema.types.filter((type) => !type.name.startsWith("__"));
      schema = { roots: [said.data.__schema.queryType.name, said.data.__schema.mutationType.name], types: new Map(types.map((type) => [type.name, type])) };
    }
  } catch { /* shown as not signed in */ }
  render();
}

const spelled = (type) => type.kind === "NON_NULL" ? spelled(type.ofType) + "!" : type.kind === "LIST" ? `[${spelled(type.ofType)}]` : type.name;
const named = (type) => type.ofType ? named(type.ofType) : type.name;

function link(label, name) {
  const made = element("button", label, "link");
  made.onclick = () => { trail.push(name); $("search").value = ""; render(); };
  return made;
}

function entry(owner, field) {
  const made = element("div", undefined, "entry");
  made.append(owner ? owner + "." : "", element("b", field.name));
  if (field.args && field.args.length) {
    made.append("(");
    field.args.forEach((arg, i) => made.append(i ? ", " : "", arg.name + ": ", link(spelled(arg.type), named(arg.type)), arg.defaultValue && arg.defaultValue !== "null" ? " = " + arg.defaultValue : ""));
    made.append(")");
  }
  if (field.type) made.append(": ", link(spelled(field.type), named(field.type)));
  if (field.description) made.append(element("p", field.description));
  return made;
}

function render() {
  const page = $("page");
  page.replaceChildren();
  $("trail").replaceChildren();
  if (!schema) return page.append(element("p", t("signFirst")));
  const wanted = $("search").value.trim().toLowerCase();
  if (wanted) return found(page, wanted);
  const up = link(t("root"), "");
  up.onclick = () => { trail = []; render(); };
  $("trail").append(up);
  trail.forEach((name, i) => {
    const back = link(name, name);
    back.onclick = () => { trail = trail.slice(0, i + 1); render(); };
    $("trail").append(" › ", back);
  });
  const type = schema.types.get(trail.at(-1));
  if (!type) {
    schema.roots.forEach((name) => page.append(element("h2", name), ...schema.types.get(name).fields.map((field) => entry("", field))));
    return undefined;
  }
  page.append(element("h3", type.name));
  if (type.description) page.append(element("p", type.description));
  for (const field of type.fields || type.inputFields || type.enumValues || []) page.append(entry("", field));
  for (const other of type.possibleTypes || []) page.append(Object.assign(element("div", undefined, "entry"), {}), link(other.name, other.name));
  return undefined;
}

function found(page, wanted) {
  const fits = (thing) => `${thing.name} ${thing.description || ""}`.toLowerCase().includes(wanted);
  const hits = [];
  for (const type of schema.types.values()) {
    if (fits(type)) {
      const hit = element("div", undefined, "entry");
      hit.append(link(type.name, type.name), element("p", type.description || ""));
      hits.push(hit);
    }
    for (const field of type.fields || type.inputFields || type.enumValues || []) if (fits(field)) hits.push(entry(type.name, field));
    if (hits.length > 100) break;
  }
  page.append(...(hits.length ? hits : [element("p", t("empty"))]));
}

// --- all together ----------------------------------------------------------------------------------------------------

function words() {
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  document.querySelectorAll("[data-t]").forEach((label) => { label.textContent = t(label.dataset.t); });
  $("run").textContent = t("run");
  $("run").title = t("runHint");
  $("pretty").textContent = t("pretty");
  $("account").textContent = t(token ? "account" : "signIn");
  $("docs-open").textContent = t("docs");
  $("lang").textContent = t("lang");
  $("search").placeholder = t("search");
  fill($("examples"), t("examples"), EXAMPLES.map((example) => example[lang]));
  fillHistory();
  render();
}

for (const id of ["query", "variables", "headers"]) {
  const area = $(id);
  put(area, kept.get(id, id === "query" ? EXAMPLES[0].query : ""));
  area.addEventListener("keydown", onKey);
  area.addEventListener("input", () => { number(area); kept.set(id, area.value); });
  area.addEventListener("scroll", () => number(area));
}
$("run").onclick = run;
$("pretty").onclick = () => put($("query"), tidy($("query").value));
$("examples").onchange = () => choose($("examples"), EXAMPLES);
$("history").onchange = () => choose($("history"), kept.get("history", []));
$("account").onclick = () => { $("login").hidden = !$("login").hidden; };
$("login").onsubmit = login;
$("use-token").onclick = () => { signedIn($("token").value.trim()); $("token").value = ""; };
$("sign-out").onclick = () => { if (token) fetch("/auth/logout", { method: "POST", headers: { authorization: "Bearer " + token } }); signedOut(); };
$("docs-open").onclick = () => { $("docs").hidden = !$("docs").hidden; loadDocs(); };
$("lang").onclick = () => { lang = lang === "zh" ? "en" : "zh"; kept.set("lang", lang); words(); };
$("search").oninput = render;
$("login").hidden = Boolean(token);
words();
loadDocs();
