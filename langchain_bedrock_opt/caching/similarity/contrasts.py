"""Words that exclude each other: a question with the one is not a question with the other.

A line is about one thing; its values are parted by `|`, and the words of a value say the same as
far as answers go. `_` joins the words of a phrase. General knowledge of the two languages, written
by hand and taken from no data set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from langchain_bedrock_opt.caching.similarity.lexicon import HAN
from langchain_bedrock_opt.caching.similarity.tokens import stem

CONTRASTS: Final = """
open opened 開く 開い 開け 開店 営業中 | close closed shut 閉じ 閉ま 閉め 閉店 休業
start begin began begun launch 始め 始ま 開始 起動 \
| stop end finish quit terminate halt 終わ 終了 停止 止め 止ま
enable activate 有効 有効化 オンに | disable deactivate 無効 無効化 オフに
turn_on turned_on switch_on | turn_off turned_off switch_off
inside indoor indoors 中 内側 屋内 室内 家の中 \
| outside outdoor outdoors outer 外 外側 屋外 野外 戸外
enter 入る 入って 入場 入室 | leave left exit depart 出る 出発 退場 退室
up upward 上 上り 上昇 上向き | down downward 下 下り 下降 下向き
above 上方 | below beneath 下方
rise increase grow grew raise gain 増え 増や 増加 上が 上げ 値上げ \
| fall fell decrease decline reduce lower drop shrink 減る 減ら 減少 下が 下げ 値下げ 削減
add insert append 追加 挿入 加え | remove delete erase uninstall subtract 削除 消去 除去 取り除
create build make 作成 作る 作っ | destroy demolish 破壊 壊す
before prior 前 以前 事前 前に | after later 後 以後 事後 後に あとで
early earlier 早い 早く | late 遅い 遅く
first 最初 初回 | last final 最後 最終
next 次 | previous 前回
new newest latest 新しい 最新 新規 | old older oldest 古い 旧
young 若い 幼い | elderly 年老い 年寄り 老人 高齢
max maximum most highest 最大 最高 | min minimum least lowest 最小 最低
more over exceed 以上 超え 超過 より多 | less under fewer 以下 未満 より少
many 多い 多く たくさん | few 少ない 少し
high tall 高い 高く | low 低い 低く
big large huge 大きい 大きな 大型 | small little tiny 小さい 小さな 小型
long 長い 長く | short 短い 短く
wide broad 広い | narrow 狭い
thick 厚い 太い | thin 薄い 細い
heavy 重い | light 軽い
strong 強い | weak 弱い
fast quick 速い 速く 素早 | slow ゆっくり のろ
hot 暑い 熱い ホット | cold 寒い 冷たい コールド アイス
warm 暖か 温か | cool 涼し
wet 濡れ 湿っ | dry 乾い 乾燥
clean きれい 清潔 | dirty 汚れ 汚い
full 満員 満杯 いっぱい | empty 空っぽ
rich 裕福 金持ち | poor 貧し 貧乏
cheap inexpensive 安い 安く 格安 | expensive costly 高価 高額
free 無料 | paid 有料
easy simple 簡単 易しい | hard difficult 難しい 困難
good better best 良い 良く よい | bad worse worst 悪い 悪く
right correct 正しい 正解 | wrong incorrect 間違 誤っ 不正解
true 本当 真実 | false 嘘 偽
safe 安全 | dangerous unsafe risky 危険 危ない
legal lawful 合法 | illegal unlawful 違法 非合法
possible 可能 | impossible 不可能
valid 有効な | invalid 無効な
available 利用可能 | unavailable 利用不可
active アクティブ | inactive 非アクティブ
public 公開 公共 公的 | private 非公開 私的 民間
internal 内部 社内 | external 外部 社外
domestic local 国内 | international foreign overseas abroad 国際 海外 国外
import 輸入 | export 輸出
upload アップロード | download ダウンロード
input 入力 | output 出力
read 読む 読み 読ん | write wrote written 書く 書き 書い
encrypt encode 暗号化 | decrypt decode 復号
send sent 送る 送っ 送信 送金 発送 | receive 受け取 受信 受領 届く
buy bought purchase 買う 買い 買っ 購入 | sell sold 売る 売り 売っ 販売 売却
lend lent 貸す 貸し | borrow 借りる 借り
deposit 入金 預け 預金 | withdraw withdrew withdrawal 出金 引き出
give gave given 与え あげ | take took taken 取る 取っ
credit クレジット 貸方 | debit デビット 借方
asset 資産 | liability debt 負債 借金
income revenue 収入 収益 | expense cost expenditure 支出 費用
profit 利益 黒字 | loss 損失 赤字
checking 当座 | savings 普通預金 貯蓄
employer 雇用主 雇い主 使用者 | employee worker 従業員 被雇用者
seller vendor 売り手 売主 | buyer customer 買い手 買主
landlord 大家 貸主 | tenant 借主 入居者
teacher 先生 教師 | student pupil 生徒 学生
doctor physician 医者 医師 | nurse 看護師 | patient 患者
parent 親 両親 | child kid children 子供 子ども こども
adult grownup 大人 成人 | minor 未成年
father dad 父 父親 お父さん | mother mom mum 母 母親 お母さん
son 息子 | daughter 娘
brother 兄 弟 兄弟 | sister 姉 妹 姉妹
husband 夫 | wife 妻
man men male 男 男性 男の人 | woman women female lady 女 女性 女の人 | boy 男の子 少年 \
| girl 女の子 少女
dog puppy 犬 子犬 | cat kitten 猫 子猫 | horse 馬 | cow cattle 牛 | sheep 羊 | bird 鳥 \
| fish 魚 | monkey 猿 | elephant 象 ゾウ | bear 熊 | zebra シマウマ | giraffe キリン
red 赤 赤い 赤色 | blue 青 青い 青色 | green 緑 緑色 | yellow 黄色 黄色い \
| black 黒 黒い 黒色 | white 白 白い 白色 | brown 茶色 茶色い | purple 紫 紫色 | pink ピンク \
| orange オレンジ | gray grey 灰色 グレー
north 北 北部 | south 南 南部 | east 東 東部 | west 西 西部
left 左 左側 | right 右 右側
front 正面 前方 | back rear 背後 後方 後ろ
top 頂上 上部 | bottom 底 下部
horizontal 水平 横 | vertical 垂直 縦
spring 春 | summer 夏 | autumn fall 秋 | winter 冬
morning 朝 午前 | afternoon 午後 | evening 夕方 | night 夜 晩
breakfast 朝食 朝ごはん | lunch 昼食 昼ごはん ランチ | dinner supper 夕食 夕飯 ディナー
daily 毎日 日次 | weekly 毎週 週次 | monthly 毎月 月次 | quarterly 四半期 \
| yearly annual annually 毎年 年次
second | minute | hour | day | week | month | year
weekday weekdays 平日 | weekend 週末
english 英語 | japanese 日本語 和訳 | french フランス語 | german ドイツ語 \
| spanish スペイン語 | chinese 中国語 | korean 韓国語 | italian イタリア語 \
| portuguese ポルトガル語 | russian ロシア語
python | java | javascript | typescript | rust | golang | ruby | php | kotlin | swift
aws | azure | gcp
windows | macos mac | linux
ios iphone | android アンドロイド
visa | mastercard | amex
always いつも 常に 必ず | sometimes 時々 ときどき | rarely seldom めったに
all every everyone everything すべて 全て 全部 全員 | only だけ のみ しか | some 一部
must mandatory required compulsory 必須 義務 | optional voluntary 任意
allow permit 許可 許す | forbid prohibit ban 禁止 禁じ
accept approve 承認 承諾 受け入れ | reject decline deny refuse 拒否 拒絶 却下 断る
agree 賛成 同意 | disagree oppose 反対
love 好き | hate dislike 嫌い
win won victory 勝つ 勝ち 勝利 | lose lost defeat 負け 敗北 敗れ
succeed success 成功 | fail failure 失敗
pass 合格 | flunk 不合格
join subscribe 加入 参加 入会 登録 | cancel unsubscribe resign 解約 退会 脱退 取り消 キャンセル
lock ロック 施錠 | unlock 解錠 解除
connect 接続 | disconnect 切断
show display 表示 | hide 非表示 隠す
expand 拡大 | collapse 縮小
ascending 昇順 | descending 降順
compress 圧縮 | decompress 解凍 展開
advantage benefit pro 利点 メリット 長所 | disadvantage drawback con 欠点 デメリット 短所
cause 原因 | effect consequence 結果
question 質問 | answer 回答 答え
eat ate eaten 食べ 食事 | drink drank drunk 飲む 飲み 飲ん
sit sat 座る 座っ 座り | stand stood 立つ 立っ 立ち | lie lay 横たわ 寝転 \
| walk 歩く 歩い 歩き | run ran 走る 走っ 走り | jump 跳ぶ 跳ん ジャンプ \
| swim swam 泳ぐ 泳い 泳ぎ | fly flew 飛ぶ 飛ん | climb 登る 登っ \
| sleep slept 眠る 眠っ 寝て
singular 単数 | plural 複数
positive 正の 肯定 陽性 | negative 負の 否定 陰性
even_number 偶数 | odd_number 奇数
gross 総額 税込 | net 正味 税抜
brand_name 先発 | generic 後発 ジェネリック
acute 急性 | chronic 慢性
type_1 1型 | type_2 2型
front_end frontend フロントエンド | back_end backend バックエンド
synchronous sync 同期 | asynchronous async 非同期
client クライアント | server サーバー サーバ
sender 送信者 送り主 | recipient receiver 受信者 受取人
arrival 到着 | departure 出発
one_way 片道 | round_trip return_ticket 往復
economy エコノミー | business ビジネス
personal 個人 | corporate 法人
permanent 永久 正社員 | temporary 一時的 臨時
physical 物理 | virtual 仮想 バーチャル
online オンライン | offline オフライン
manual manually 手動 | automatic automatically 自動
basic ベーシック 基本 | premium プレミアム | standard スタンダード 標準 | pro プロ
primary メイン | secondary サブ
summer_time | winter_time
"""
"""One line each: values that can't both be true of what is asked."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A word that excludes others: `group` says what it is about, `value` what it says of it."""

    group: str
    value: str


@lru_cache(maxsize=1)
def english_contrasts() -> dict[str, list[Contrast]]:
    """What each English word says, or phrase of two, by its stems."""
    found: dict[str, list[Contrast]] = {}
    for contrast, word in _contrast_words(CONTRASTS):
        if word.isascii():
            plain = " ".join(map(stem, word.split("_")))
            says = found.setdefault(plain, [])
            if contrast not in says:  # "open" and "opened" are one stem
                says.append(contrast)
    return found


@lru_cache(maxsize=1)
def japanese_contrasts() -> tuple[re.Pattern[str], dict[str, list[Contrast]]]:
    """A pattern that finds Japanese words of contrast, longest first, and what each one says."""
    found: dict[str, list[Contrast]] = {}
    for contrast, word in _contrast_words(CONTRASTS):
        if not word.isascii():
            found.setdefault(word, []).append(contrast)
    words = sorted(found, key=len, reverse=True)
    return re.compile("|".join(map(_japanese_pattern, words))), found


def _contrast_words(table: str) -> list[tuple[Contrast, str]]:
    pairs = []
    for line in table.strip().splitlines():
        values = line.split(" | ")
        group = values[0].split()[0]
        for value in values:
            words = value.split()
            pairs += [(Contrast(group, words[0]), word) for word in words]
    return pairs


def _japanese_pattern(word: str) -> str:
    """A single kanji counts only where it stands alone: 上 is up, 上海 is not."""
    if len(word) == 1:
        return f"(?<![{HAN}]){word}(?![{HAN}])"
    return re.escape(word)
