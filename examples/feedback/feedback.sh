#!/bin/bash
# A feedback form: shows the form and the last messages, and takes new ones.
#
# Entries are lines of state/feedback.tsv: time, rating, name, message, with
# tab, newline and backslash written as \t, \n and \\.

set -u
export LC_ALL=C                             # lengths are bytes
shopt -u patsub_replacement 2>/dev/null     # bash 5.2: an & in ${x//y/&} stands for itself
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

max_body=16384
entries=state/feedback.tsv
newline=$'\n' tab=$'\t'

# urldecode VARIABLE TEXT: + is a space, %XX is a byte, anything else is itself.
urldecode() {
    local decoded piece byte
    local -a pieces
    IFS=% read -r -d '' -a pieces <<<"${2//+/ }"
    decoded=${pieces[0]}
    for piece in "${pieces[@]:1}"; do
        if [[ $piece == [0-9A-Fa-f][0-9A-Fa-f]* ]]; then
            printf -v byte '%b' "\\x${piece:0:2}"
            decoded+=$byte${piece:2}
        else
            decoded+=%$piece
        fi
    done
    printf -v "$1" '%s' "${decoded%"$newline"}" # without the here-string's own
}

# escape_html VARIABLE TEXT
escape_html() {
    local text=${2//&/&amp;}
    text=${text//</&lt;}
    text=${text//>/&gt;}
    text=${text//\"/&quot;}
    printf -v "$1" '%s' "$text"
}

# escape_field VARIABLE TEXT: the text as one field of a line. printf '%b' reads it back.
escape_field() {
    local text=${2//\\/\\\\}
    text=${text//$'\r'/}
    text=${text//"$tab"/\\t}
    printf -v "$1" '%s' "${text//"$newline"/\\n}"
}

# read_form: the posted fields, in the associative array form.
declare -A form
read_form() {
    local body='' pair key value
    local -a pairs
    IFS= read -r -N "$1" body
    IFS='&' read -r -d '' -a pairs <<<"$body"
    for pair in "${pairs[@]}"; do
        pair=${pair%"$newline"}             # the here-string's own
        urldecode key "${pair%%=*}"
        [[ $pair == *=* ]] && urldecode value "${pair#*=}" || value=''
        [[ $key =~ ^[a-z]+$ ]] && form[$key]=$value
    done
}

# respond STATUS [HEADER...]: the head. The body is what is printed next.
respond() {
    printf 'Status: %s\r\n' "$1"
    shift
    printf '%s\r\n' 'Content-Type: text/html; charset=utf-8' 'Cache-Control: no-store' "$@" ''
}

# refuse STATUS SENTENCE [HEADER...]
refuse() {
    respond "$1" "${@:3}"
    page "<p class=\"note\">$2</p>"
    exit 0
}

# page HTML: a page that begins with HTML and then has the form and the last messages.
page() {
    [[ ${REQUEST_METHOD-} == HEAD ]] && return
    local name message
    escape_html name "${form[name]-}"
    escape_html message "${form[message]-}"
    cat <<HTML
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Feedback</title>
<style>body { font: 16px/1.5 sans-serif; max-width: 40em; margin: 2em auto; padding: 0 1em }
.note { background: #ffd; padding: .5em } label { display: block } q { white-space: pre-wrap }</style>
<h1>Feedback</h1>
$1
<form method="post">
<label>Your name <input name="name" maxlength="60" required value="$name"></label>
<label>Stars <input name="rating" type="number" min="1" max="5" value="5"></label>
<label>What do you think?<br><textarea name="message" rows="4" cols="50" required>$message</textarea></label>
<button>Send</button>
</form>
<h2>What others said</h2>
<ul>
HTML
    [[ -e $entries ]] && tail -n 20 "$entries" | tac | list_entries
    printf '</ul>\n</html>\n'
}

list_entries() {
    local time rating name message stars='*****'
    while IFS=$tab read -r time rating name message; do
        printf -v name '%b' "$name"
        printf -v message '%b' "$message"
        escape_html name "$name"
        escape_html message "$message"
        printf '<li>%s <b>%s</b> %s: <q>%s</q></li>\n' \
            "$time" "$name" "${stars:0:rating}" "$message"
    done
}

# save: one whole line for each entry, also when several are sent at the same moment.
save() {
    local name message
    escape_field name "${form[name]}"
    escape_field message "${form[message]}"
    mkdir -p state &&
        {
            flock 9 &&
                printf '%(%F %H:%M)T\t%s\t%s\t%s\n' -1 "${form[rating]}" "$name" "$message" >&9
        } 9>>"$entries"
}

is_length() {
    [[ $1 =~ ^[0-9]{1,9}$ ]] && [ "$1" -le "$max_body" ]
}

post() {
    local length=${CONTENT_LENGTH:-0} name
    [[ ${CONTENT_TYPE-} == application/x-www-form-urlencoded* ]] ||
        refuse '415 Unsupported Media Type' 'Only the form below is understood.'
    is_length "$length" ||
        refuse '413 Content Too Large' "At most $max_body bytes, please."
    read_form "$length"
    form[rating]=${form[rating]:-5}
    [[ ${form[name]-} == *[![:space:]]* && ${#form[name]} -le 200 ]] ||
        refuse '400 Bad Request' 'Please say who you are.'
    [[ ${form[message]-} == *[![:space:]]* ]] ||
        refuse '400 Bad Request' 'Please write something.'
    [[ ${form[rating]} == [1-5] ]] ||
        refuse '400 Bad Request' 'Please give one to five stars.'
    save || refuse '500 Internal Server Error' 'Your message could not be kept.'
    escape_html name "${form[name]}"
    form=()
    respond '200 OK'
    page "<p class=\"note\">Thank you, $name!</p>"
}

case ${REQUEST_METHOD:-GET} in
    GET | HEAD)
        respond '200 OK'
        page ''
        ;;
    POST) post ;;
    *) refuse '405 Method Not Allowed' 'Only GET and POST work here.' 'Allow: GET, HEAD, POST' ;;
esac
