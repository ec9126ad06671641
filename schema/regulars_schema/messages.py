"""The one catalogue of codes: what happened and what to do, in Chinese and English.

A code is stable for ever and is the same in verdicts, HTTP answers and GraphQL. docs/ERRORS.md is
written from this table. `{names}` are filled from the error's detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    VERDICT = "verdict"
    """Of one change; its neighbours are not touched."""
    REQUEST = "request"
    """Of a whole request; nothing was done."""
    LOCAL = "local"
    """Of this tablet or this command."""


@dataclass(frozen=True, slots=True)
class Message:
    kind: Kind
    status: int
    """The HTTP status where it ends a request."""
    retryable: bool
    """Whether the same thing may pass later without being altered."""
    en: str
    zh: str


V, R, C = Kind.VERDICT, Kind.REQUEST, Kind.LOCAL

MESSAGES: Mapping[str, Message] = {
    # --- a value does not fit -----------------------------------------------------------------
    "entity_unknown": Message(V, 400, False, "There is no entity “{entity}”. Use one of the schema's names.", "没有名为“{entity}”的实体，请使用模式中的名称。"),
    "entity_not_writable": Message(V, 403, False, "“{entity}” is kept by head office; a tablet can't write it.", "“{entity}”由总部维护，平板不能修改。"),
    "field_unknown": Message(V, 400, False, "“{entity}” has no field “{field}”. Correct the name or update the server.", "“{entity}”没有字段“{field}”，请更正名称或升级服务器。"),
    "field_required": Message(V, 400, False, "“{field}” must have a value.", "“{field}”必须填写。"),
    "field_fixed": Message(V, 400, False, "“{field}” is part of what the row is and can't be edited. Make a new row.", "“{field}”不可修改，请新建一条。"),
    "fields_missing": Message(V, 400, False, "A create of “{entity}” needs: {fields}.", "新建“{entity}”缺少：{fields}。"),
    "value_type": Message(V, 400, False, "“{field}” should be {expected}.", "“{field}”的类型应为 {expected}。"),
    "value_range": Message(V, 400, False, "“{field}” should lie between {low} and {high}.", "“{field}”应在 {low} 与 {high} 之间。"),
    "value_too_large": Message(V, 400, False, "“{field}” holds more than {parts_max} parts, or they are nested more than {depth_max} deep. Say less.", "“{field}”的内容超过 {parts_max} 项或嵌套超过 {depth_max} 层，请精简。"),
    "enum_unknown": Message(V, 400, False, "“{value}” is not a value of “{field}”. Allowed: {allowed}.", "“{field}”没有取值“{value}”，可用：{allowed}。"),
    "text_too_long": Message(V, 400, False, "“{field}” has {chars} characters; {chars_max} are allowed.", "“{field}”有 {chars} 个字符，最多 {chars_max} 个。"),
    "text_empty": Message(V, 400, False, "“{field}” must not be empty.", "“{field}”不能为空。"),
    "text_invalid": Message(V, 400, False, "“{field}” holds a character that is not text ({reason}). Type it again.", "“{field}”含有无效字符（{reason}），请重新输入。"),
    "list_too_long": Message(V, 400, False, "“{field}” has {items} items; {items_max} are allowed.", "“{field}”有 {items} 项，最多 {items_max} 项。"),
    "part_unknown": Message(V, 400, False, "“{field}” has no part “{part}”. Allowed: {allowed}.", "“{field}”没有“{part}”，可用：{allowed}。"),
    "part_required": Message(V, 400, False, "“{field}” needs “{part}”.", "“{field}”需要“{part}”。"),
    "instant_invalid": Message(V, 400, False, "“{field}” should be a UTC instant such as 2026-11-22T13:05:09.120Z.", "“{field}”应为 UTC 时间，例如 2026-11-22T13:05:09.120Z。"),
    "date_invalid": Message(V, 400, False, "“{field}” should be a day such as 2026-11-22.", "“{field}”应为日期，例如 2026-11-22。"),
    "id_invalid": Message(V, 400, False, "“{field}” should be an id (a UUID in lower case).", "“{field}”应为编号（小写 UUID）。"),
    "phone_invalid": Message(V, 400, False, "“{value}” has no digits, so it is no phone number.", "“{value}”没有数字，不是电话号码。"),
    "email_invalid": Message(V, 400, False, "“{value}” is no e-mail address.", "“{value}”不是邮箱地址。"),
    # --- a change can't be taken ----------------------------------------------------------------
    "change_malformed": Message(V, 400, False, "The change does not have the form of a change: {reason}.", "修改格式有误：{reason}。"),
    "manager_needed": Message(V, 403, False, "“{field}” is written by a manager. Let one sign in on this tablet and say it.", "“{field}”须由经理填写，请经理在本机登录后操作。"),
    "decision_reserved": Message(V, 403, False, "Only head office decides whether two customers are one person. Propose it instead.", "只有总部可以判定两位顾客是否为同一人，请改为提出建议。"),
    "cid_reused": Message(V, 409, False, "This cid was used for another change. Send it under a new cid.", "该 cid 已用于另一修改，请换新的 cid。"),
    "fact_exists": Message(V, 409, False, "A fact with this id exists with other content. Record a correction instead.", "相同编号的记录已存在且内容不同，请改用更正。"),
    "fact_edited": Message(V, 400, False, "Facts are never edited. Record a further fact that supersedes it.", "往来记录不可修改，请新增一条更正记录。"),
    "row_unknown": Message(V, 404, True, "There is no such row within reach yet; the change waits for it.", "目前没有可用的该条数据，修改等待其到达。"),
    "scope_left": Message(V, 409, True, "The customer is now with another unit. The edit is kept for head office.", "该顾客已转到其他门店，修改已保留待总部处理。"),
    "group_held": Message(V, 409, True, "Another change of the same transaction waits, so this one waits with it.", "同一事务中另有修改待处理，此修改一并等待。"),
    "group_broken": Message(V, 409, False, "The transaction was not sent whole; it waits until it is sent again or dropped.", "事务未完整送达，请重新提交或放弃。"),
    "group_too_large": Message(V, 413, False, "A transaction may hold {changes_max} changes and {bytes_max} bytes. Split it.", "单个事务最多 {changes_max} 条修改、{bytes_max} 字节，请拆分。"),
    "schema_newer": Message(V, 409, True, "The change comes from a newer version; it waits until the server is upgraded.", "修改来自更新的版本，等待服务器升级后处理。"),
    "schema_older": Message(V, 409, True, "The change comes from an older version ({schema}), and “{field}” is no longer what it was. It is kept for head office, who can correct it.", "修改来自旧版本（{schema}），“{field}”的含义已变，修改已保留，由总部更正。"),
    "mend_waits": Message(V, 409, True, "The correction waits: its transaction does not pass yet.", "更正等待中：所属事务尚未通过。"),
    "mend_foreign": Message(V, 409, True, "It corrects a change of another device, which is still open; head office decides.", "它更正的是另一台设备尚未了结的修改，由总部决定。"),
    "mend_invalid": Message(V, 409, False, "There is nothing held under {replaces} that this could replace.", "没有可被更正的暂存修改 {replaces}。"),
    "mended": Message(V, 200, False, "A correction took its place.", "已由更正取代。"),
    "dropped": Message(V, 200, False, "It was dropped by a person.", "已由人放弃。"),
    "looked_up": Message(V, 200, False, "This customer was looked up by another unit.", "该顾客被其他门店查询。"),
    "access_changed": Message(V, 200, False, "{did}: {name}.", "{did}：{name}。"),
    "erased": Message(V, 410, False, "This customer was erased. Nothing about them is kept or taken any more.", "该顾客已被抹除，不再保存或接受任何相关内容。"),
    "stamp_replaced": Message(V, 200, False, "Its time stamp was impossible, so the server's own counts.", "时间戳不可信，已采用服务器时间。"),
    "device_revoked": Message(V, 403, True, "This device was revoked. Its changes are kept for head office; pair it again to go on.", "该设备已被吊销，其修改已保留待总部处理，请重新配对。"),
    # --- a request can't be served --------------------------------------------------------------
    "body_invalid": Message(R, 400, False, "The body is not the JSON expected here: {reason}.", "请求内容不是有效的 JSON：{reason}。"),
    "body_too_large": Message(R, 413, False, "The body is over {bytes_max} bytes. Send less at once.", "请求超过 {bytes_max} 字节，请分批发送。"),
    "encoding_unknown": Message(R, 415, False, "The content encoding “{encoding}” is not known here. Use zstd, gzip or none.", "不支持的内容编码“{encoding}”，请用 zstd、gzip 或不压缩。"),
    "number_gap": Message(R, 409, True, "The next number expected of this device is {expect}; send from there.", "服务器期待编号 {expect}，请从该处重新发送。"),
    "number_taken": Message(R, 409, True, "Number {n} was used by another change: this replica was copied or restored. Take a new incarnation.", "编号 {n} 已被占用：本机数据曾被复制或恢复，请启用新的化身。"),
    "cursor_invalid": Message(R, 400, True, "The cursor is not one of this server's. Start again without one.", "游标无效，请从头同步。"),
    "cursor_expired": Message(R, 410, True, "This replica was away for so long that rows left unnoticed. Start again without a cursor; your changes are kept.", "本机离线过久，请从头同步，本机修改不会丢失。"),
    "epoch_changed": Message(R, 409, True, "The server was restored. Start again without a cursor; your changes are kept.", "服务器已恢复备份，请从头同步，本机修改不会丢失。"),
    "chain_other": Message(R, 409, False, "This replica belongs to another chain. Open another file for this one.", "本机数据属于另一连锁，请换一个文件。"),
    "schema_too_old": Message(R, 426, False, "This app is too old to be sent news: it has schema {schema}, the oldest served is {oldest}. Nothing is lost: what was written here is still taken. Update the app, then sync again.", "本应用版本过旧（模式 {schema}，最低 {oldest}），暂时收不到更新。数据不会丢失，本机所写内容仍会上传。请升级应用后再同步。"),
    "snapshot_none": Message(R, 404, False, "There is no snapshot for this device; pull by pages.", "没有适用于本设备的快照，请分页拉取。"),
    "device_cloned": Message(R, 409, False, "This tablet is a copy of another one that is still in use. It may hand in what it has; pair it again to go on as a device of its own.", "本机是另一台仍在使用的平板的副本。可以上交修改；请重新配对，作为独立设备继续使用。"),
    "device_wipe": Message(R, 403, False, "Head office has ordered this device to delete all it holds. Pair it again to go on.", "总部已下令清除该设备的全部数据，请重新配对。"),
    "token_missing": Message(R, 401, False, "Send a token: `Authorization: Bearer ...`.", "请提供令牌：Authorization: Bearer …"),
    "token_invalid": Message(R, 401, False, "The token is not valid, has expired or was revoked. Sign in or pair again.", "令牌无效、已过期或已吊销，请重新登录或配对。"),
    "login_failed": Message(R, 401, False, "Name and password do not fit.", "用户名或密码不正确。"),
    "streams_too_many": Message(R, 429, True, "Too many streams are open ({limit} allowed). Close some, or wait.", "打开的连接过多（上限 {limit}），请先关闭一些。"),
    "stream_needed": Message(R, 400, False, "A subscription needs a stream: ask with Accept: text/event-stream, or over a WebSocket.", "订阅需要数据流：请使用 Accept: text/event-stream 或 WebSocket。"),
    "stream_slow": Message(R, 503, True, "The stream is read too slowly. Connect again and go on from your last cursor.", "读取过慢，请重新连接并从最后的游标继续。"),
    "stream_unknown": Message(R, 404, False, "There is no such event stream of yours. Reserve one with PUT.", "没有这个事件流，请先用 PUT 预留。"),
    "server_stopping": Message(R, 503, True, "The server stops or starts anew. Connect again in a moment.", "服务器正在重启，请稍后重新连接。"),
    "too_many_tries": Message(R, 429, True, "Too many tries. Wait {seconds} seconds.", "尝试过多，请等待 {seconds} 秒。"),
    "pairing_code_invalid": Message(R, 403, False, "The pairing code is wrong, used or expired. Ask for a new one: `regulars device invite`.", "配对码错误、已用或已过期，请重新获取：regulars device invite。"),
    "not_allowed": Message(R, 403, False, "Your role may not do this.", "您的角色无权执行此操作。"),
    "scope_missing": Message(R, 403, False, "This token was not given the scope {scope}. Make one that has it.", "该令牌没有权限范围 {scope}，请生成包含它的令牌。"),
    "introspection_off": Message(R, 403, False, "The schema is not told to you. Read schema.graphql in the documentation.", "您无权查询模式，请参阅文档中的 schema.graphql。"),
    "document_unknown": Message(R, 404, False, "There is no trusted document {id}. Publish it: `regulars documents publish FILE`.", "没有可信查询 {id}，请发布：regulars documents publish FILE。"),
    "document_required": Message(R, 403, False, "Only trusted documents may be sent here. Name one by `documentId`.", "此处仅接受可信查询，请用 documentId 指定。"),
    "origin_refused": Message(R, 403, False, "A page of another site sent this. Let that site in by REGULARS_ORIGINS.", "请求来自其他网站的页面，如需允许请设置 REGULARS_ORIGINS。"),
    "not_found": Message(R, 404, False, "There is no such {entity} within reach.", "没有可访问的该{entity}。"),
    "path_unknown": Message(R, 404, False, "There is nothing to {method} at {path}. Tablets use /sync/v1, people /graphql.", "{path} 没有可供 {method} 的内容。平板使用 /sync/v1，其他使用 /graphql。"),
    "version_conflict": Message(R, 409, True, "It was changed since you read it. Read it again and decide.", "读取后已被他人修改，请重新读取后再提交。"),
    "idempotency_reused": Message(R, 409, False, "This idempotency key was used with other content. Use a new key.", "该幂等键已用于其他内容，请更换。"),
    "bulk_rejected": Message(R, 409, False, "Another row was refused, so nothing was written. Mend that one, or leave it out.", "另有行被拒绝，因此全部未写入，请更正或去掉该行。"),
    "customer_ambiguous": Message(R, 409, False, "Several customers have the number “{key}”. Name one by its id, or merge them.", "有多位顾客使用编号“{key}”，请改用顾客 id，或先合并。"),
    "row_twice": Message(R, 400, False, "This row stands in the list before; write all of it there.", "该行在列表前面已出现，请合并为一行。"),
    "export_query": Message(R, 400, False, "This can't be exported: the query needs {reason}.", "无法导出：查询需要{reason}。"),
    "export_too_large": Message(R, 413, False, "The file is over {bytes_max} bytes. Ask for fewer rows or fields.", "文件超过 {bytes_max} 字节，请减少行或字段。"),
    "parquet_missing": Message(R, 501, False, "This server writes no Parquet: pyarrow is not installed. Install it: pip install 'regulars[parquet]'; or ask for JSONL.", "服务器未安装 pyarrow，无法写 Parquet。请安装：pip install 'regulars[parquet]'，或选用 JSONL。"),
    "card_missing": Message(R, 501, False, "This server prints no PDF: {module} is not installed. Install it: pip install 'regulars[card]'; or ask for HTML.", "服务器未安装 {module}，无法生成 PDF。请安装：pip install 'regulars[card]'，或选用 HTML。"),
    "import_too_large": Message(R, 413, False, "The file has more than {lines_max} lines. Split it.", "文件超过 {lines_max} 行，请拆分后导入。"),
    "rights_changed": Message(R, 403, False, "Your rights are others than when this was made. Ask for it anew.", "您的权限已变更，请重新导出。"),
    "work_elsewhere": Message(R, 503, True, "Another server has the file; ask again, or let servers share REGULARS_WORKS_FOLDER.", "文件在另一台服务器上，请重试，或为各服务器设置共用的 REGULARS_WORKS_FOLDER。"),
    "works_full": Message(R, 503, True, "Too much is waiting, or there is no room for its files. Try again in {seconds} seconds.", "等待的任务过多或存储空间不足，请 {seconds} 秒后重试。"),
    "work_interrupted": Message(R, 500, True, "It was cut off again and again. Ask for it anew.", "任务多次中断，请重新发起。"),
    "reverse_nothing": Message(R, 409, False, "There is nothing to reverse: it was not applied, or others have decided since, or its value can only rise.", "没有可撤销的内容：该修改未被采用、之后已有人处理，或其取值只升不降。"),
    "choice_gone": Message(R, 409, False, "That value does not stand in “{field}” beside another any more. Read it again and decide.", "“{field}”已没有该并列取值，请重新读取后再决定。"),
    "custom_rule_unfit": Message(R, 400, False, "Values of type “{type}” can't be merged by “{rule}”; it takes: {allowed}.", "类型“{type}”不能用“{rule}”合并，可用类型：{allowed}。"),
    "custom_append_only": Message(R, 400, False, "“{field}” is only added to; nothing can be taken out.", "“{field}”只增不减，不能移除。"),
    "rule_unreadable": Message(R, 400, False, "“{found}” can't stand here. What can: {expected}.", "此处不能是“{found}”，可用：{expected}。"),
    "rule_unknown": Message(R, 400, False, "Nothing is called “{name}” here. What is: {allowed}.", "此处没有名为“{name}”的内容，可用：{allowed}。"),
    "rule_invalid": Message(R, 400, False, "This does not fit here. Expected: {expected}.", "此处内容不合适，应为：{expected}。"),
    "rule_too_large": Message(R, 400, False, "The rule is too large ({what}). Say it in fewer words, or put a part of it into a segment of its own.", "规则过大（{what}），请精简，或将其中一部分另设为分群。"),
    "rule_circle": Message(R, 400, False, "The rule comes to name itself: {way}. Take one of these steps out.", "规则循环引用了自身：{way}，请去掉其中一环。"),
    "rule_prospects": Message(R, 200, False, "The rule asks for numbers of purchases, and people who never bought fit it too. If they are not meant, add: and purchase_count >= 1.", "规则使用了购买数据，但从未购买的顾客也会符合。若不包括他们，请加上：and purchase_count >= 1。"),
    "scheme_values": Message(R, 400, False, "In “{scheme}” a customer has one value: give one.", "在“{scheme}”中顾客只能有一个值，请只给一个。"),
    "scheme_kind": Message(R, 400, False, "“{scheme}” is not for a customer of this kind ({kind}).", "“{scheme}”不适用于此类顾客（{kind}）。"),
    "evidence_missing": Message(R, 400, False, "“{scheme}” asks what it rests on: give a reason, or the interaction that shows it.", "“{scheme}”需要依据：请填写理由，或指明相关往来记录。"),
    "scheme_invalid": Message(R, 400, False, "The scheme does not fit at {place}: {reason}", "分类方案在 {place} 处有误：{reason}"),
    "argument_invalid": Message(R, 400, False, "{reason}", "{reason}"),
    "query_too_large": Message(R, 400, False, "The query is too large ({what}: {limit} allowed). Ask for less.", "查询过大（{what}，上限 {limit}），请缩小范围。"),
    "busy": Message(R, 503, True, "The server is busy; try again in {seconds} seconds.", "服务器繁忙，请 {seconds} 秒后重试。"),
    "throttled": Message(R, 429, True, "This token has spent its share for now: {cost} are needed, {available} are there. Try again in {seconds} s.", "该令牌的额度暂时不足：需要 {cost}，现有 {available}。请在 {seconds} 秒后重试。"),
    "too_slow": Message(R, 503, True, "It took longer than {seconds_max} s and was given up. Ask for less at once.", "处理超过 {seconds_max} 秒，已放弃。请减少一次请求的内容。"),
    "answer_too_large": Message(R, 413, False, "The answer is larger than {bytes_max} bytes. Ask for less at once.", "结果超过 {bytes_max} 字节，请减少一次请求的内容。"),
    "storage_full": Message(R, 507, True, "The server's disk is full; nothing was stored. Free some space.", "服务器磁盘已满，未保存任何内容，请清理空间。"),
    "internal": Message(R, 500, True, "Something failed here; it was logged as {incident}. Nothing was stored.", "服务器内部错误（编号 {incident}），未保存任何内容。"),
    # --- on the tablet or the command line ---------------------------------------------------------
    "offline": Message(C, 0, True, "The server can't be reached; everything is kept here and will be sent later.", "无法连接服务器，数据已保存在本机，稍后发送。"),
    "answer_invalid": Message(C, 0, True, "What answered is not a Regulars server (a login page of the network?). Treated as offline.", "应答方不是熟客服务器（可能是网络登录页），按离线处理。"),
    "lease_held": Message(C, 0, True, "Another program on this tablet syncs this replica already; it sends what is written here too.", "本机另一程序正在同步此数据，此处的修改也会由它发送。"),
    "not_paired": Message(C, 0, False, "This replica is not paired yet. Ask head office for a code and call pair().", "尚未配对，请向总部索取配对码后调用 pair()。"),
    "already_paired": Message(C, 0, False, "This replica is paired already. Open another file.", "已经配对，请使用另一个文件。"),
    "sign_in_failed": Message(C, 0, False, "The PIN does not fit, or this member of staff does not work in this unit.", "口令不正确，或该员工不属于本门店。"),
    "disk_full": Message(C, 0, True, "This disk is full; nothing was written. Free some space and try again.", "磁盘已满，未写入任何内容，请清理空间后重试。"),
    "file_busy": Message(C, 0, True, "Another program holds the file {file}. Close it and try again.", "文件 {file} 正被其他程序占用，请关闭后重试。"),
    "file_closed": Message(C, 0, False, "{file} is closed. Use the shop inside its `async with`.", "{file} 已关闭，请在 async with 内使用。"),
    "file_foreign": Message(C, 0, False, "{file} is not a Regulars file of this kind. Nothing was changed; choose another.", "{file} 不是此类熟客文件，未作任何改动，请另选文件。"),
    "file_exists": Message(C, 0, False, "{file} is there already; nothing was changed. Choose another name, or move it away.", "{file} 已存在，未作任何改动，请换一个名字或先移走。"),
    "file_missing": Message(C, 0, False, "There is no file {file}.", "没有文件 {file}。"),
    "file_newer": Message(C, 0, False, "{file} was written by a newer version ({found}; this one knows {known}). Update this program.", "{file} 由更新的版本写入（{found}，本程序支持 {known}），请升级程序。"),
    "file_unfinished": Message(C, 0, False, "{file} was left in the middle of an upgrade. Restore the copy made before it: {copy}.", "{file} 升级未完成，请恢复升级前的副本：{copy}。"),
    "file_damaged": Message(C, 0, False, "{file} is damaged: {reason}. Keep it and restore a copy; a tablet fetches at its next sync what the server has.", "{file} 已损坏：{reason}。请保留原文件并恢复副本；平板在下次同步时会重新获取服务器上的数据。"),
    "outbox_lost": Message(C, 0, False, "{file} is gone, empty or destroyed, and with it what was written here and not yet sent. Put back a copy of it; or move this file and the replica away, and pair this tablet anew.", "{file} 丢失、为空或已损坏，其中尚未发送的修改无法读取。请恢复其副本；或移走该文件和本机数据文件，然后重新配对。"),
    "replica_differs": Message(C, 0, True, "This replica is not equal to the server in {scopes}; it is fetched again.", "本机数据与服务器不一致（{scopes}），正在重新获取。"),
    "setting_invalid": Message(C, 0, False, "The setting {name} can't be read from “{value}”. See docs/SETTINGS.md.", "无法从“{value}”读取设置 {name}，请参阅 docs/SETTINGS.md。"),
    "chain_missing": Message(C, 0, False, "There is no chain in {folder}. Make one: regulars init --data {folder}", "{folder} 中没有数据，请先新建：regulars init --data {folder}"),
    "database_away": Message(C, 0, True, "The database {place} can't be reached. Start it, or correct the address: --database or REGULARS_DATABASE.", "无法连接数据库 {place}，请启动数据库或更正地址：--database 或 REGULARS_DATABASE。"),
    "chain_moved": Message(C, 0, False, "The chain of {file} went on in {to}; nothing was changed. Serve it there: set REGULARS_DATABASE.", "{file} 的数据已迁移到 {to}，未作改动。请在新位置启动：设置 REGULARS_DATABASE。"),
    "copy_unfinished": Message(C, 0, True, "{file} holds the beginning of a chain that was being moved. Go on with it: regulars move.", "{file} 中的迁移尚未完成，请继续执行 regulars move。"),
    "copy_differs": Message(C, 0, False, "The copy is not equal to the chain in the table {table}. Nothing was given up; report this.", "副本与原数据在表 {table} 中不一致，原数据未受影响，请报告此问题。"),
    "chain_exists": Message(C, 0, False, "{folder} holds a chain already; nothing was changed. Start it: regulars serve --data {folder}", "{folder} 中已有数据，未作改动。启动：regulars serve --data {folder}"),
    "address_taken": Message(C, 0, True, "Another program listens at {host}:{port}. Stop it, or take another port: --port.", "{host}:{port} 已被其他程序占用，请停止该程序或用 --port 换端口。"),
    "address_invalid": Message(C, 0, False, "Nothing can listen at {host}:{port}: {reason}. Correct --host or --port.", "无法监听 {host}:{port}：{reason}。请更正 --host 或 --port。"),
    "extra_missing": Message(C, 0, False, "{module} is not installed: this is the SDK alone. Install the server too: pip install 'regulars[server]'", "未安装 {module}：当前只有 SDK。请安装服务器：pip install 'regulars[server]'"),
    "external_id_missing": Message(C, 0, False, "The line has no external_id.", "该行缺少 external_id。"),
    "external_id_twice": Message(C, 0, False, "The external_id “{external_id}” stands in the file twice; the first line counts.", "external_id“{external_id}”在文件中重复，以第一行为准。"),
    "cells_wrong": Message(C, 0, False, "The line has {cells} cells; the header has {columns}.", "该行有 {cells} 个单元格，表头有 {columns} 个。"),
    "cell_invalid": Message(C, 0, False, "“{value}” can't be read as {field}: {reason}.", "“{value}”无法识别为 {field}：{reason}。"),
    "column_unknown": Message(C, 0, False, "The column “{column}” is not known. Did you mean “{nearest}”?", "未知的列“{column}”，是否为“{nearest}”？"),
}  # fmt: skip


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def text(code: str, detail: Mapping[str, Any] | None = None, lang: str = "en") -> str:
    """The message of a code in a language (`zh` or `en`), filled from its detail. Never raises."""
    message = MESSAGES.get(code)
    if message is None:
        return code
    template = message.zh if lang.startswith("zh") else message.en
    try:
        shown = {
            k: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in (detail or {}).items()
        }
        return template.format_map(_Blank(shown))
    except (ValueError, RecursionError):  # a number too long to spell, a list too deep
        return template
