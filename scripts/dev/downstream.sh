# The consumers of the order events: payments with the simulated card provider, notification with a mail server
# that stores all mail, analytics.
# shellcheck shell=bash

DOWNSTREAM=(provider payments-1 notification-1 analytics-1)

# downstream_command NAME: prints the settings and the command that follow `env`, one word per line.
downstream_command() {
    local kind=${1%-*} listen
    [ "$kind" = provider ] || printf '%s\n' "KAFKA_BROKERS=$(kafka_brokers)" "DATABASE_URL=$(database_url)"
    listen=127.0.0.1:$(port_of "$1")
    case $1 in
        payments-*)
            printf '%s\n' "PAYMENTS_LISTEN=$listen" "PROVIDER_URL=http://127.0.0.1:$(port_of provider)" \
                "PAYMENT_CALLBACK_URL=http://127.0.0.1:$(port_of gateway-1)/v1/payments/callback"
            ;;
        notification-*) printf '%s\n' "NOTIFICATION_LISTEN=$listen" "SMTP_URL=smtp://127.0.0.1:$(port_of mail)" ;;
        analytics-*) printf '%s\n' "ANALYTICS_LISTEN=$listen" ;;
        provider)
            printf '%s\n' "PROVIDER_LISTEN=$listen" "PROVIDER_JOURNAL=$DATA_DIR/provider.jsonl" \
                "PAYMENT_WEBHOOK_SECRET=$(payment_webhook_secret)"
            ;;
    esac
    printf '%s\n' "$(binary downstream)" "$kind"
}

# Starts them all at once, so that the waits overlap.
up_downstream() { start_programs downstream "${DOWNSTREAM[@]}" || exit 1; }

mail_command_line() {
    printf '%s\n' aiosmtpd -n -l "127.0.0.1:$(port_of mail)" -c aiosmtpd.handlers.Mailbox "$DATA_DIR/mail"
}

start_mail() {
    local begun_ms command
    begun_ms=$(now_ms)
    if is_alive mail; then
        await_ready mail 20
        return
    fi
    mkdir -p "$DATA_DIR"
    mapfile -t command < <(mail_command_line)
    spawn mail "${command[@]}"
    await_ready mail 20
    say_step mail "ready on 127.0.0.1:$(port_of mail) ($(since_ms "$begun_ms"))"
}
