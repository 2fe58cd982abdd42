//! whatsapp-operator.
