"""Which test proves which row of the tables T, B, L and A of ../shared/facts/security.md, and what is not served yet.

A name is "path::test", the path below tests/. test_security_rows.py checks that all rows and all named tests are there.
"""

FRONT = "service/api/smart/test_token.py::"
REPLAY = "service/api/smart/test_replay.py::"
ASSERT = "service/auth/test_assertions.py::"
CLAIMS = "service/auth/test_assertion_claims.py::"
FORGED = ASSERT + "test_t7_to_t16_forged_tokens_are_refused_for_their_reason"
TROWS = "service/auth/test_token_rows.py::"
LAUNCH = "service/auth/test_app_launch.py::"
TOKENS = "service/auth/test_app_tokens.py::"
LEAK = "service/access/test_leak_rows.py::"
TRACE = "service/access/test_leak_traces.py::"
ATTACK = "service/api/test_attack_rows.py::"
SUBSCRIBING = "service/notify/test_subscribing.py::"
ORACLE = "service/access/test_no_oracle.py::test_foreign_is_answered_as_absent"
SUMS = "service/access/test_no_oracle.py::test_foreign_resources_change_no_sum"
WORLDS = "scenarios/non_interference/test_non_interference.py::test_g06_what_is_hidden_changes_no_answer"
VIEWS = "service/access/test_views.py::"
LINKS = "service/store/test_find_links.py::"
CHAINS = "service/interactions/test_search_chains.py::"
XSS = "service/web/test_stored_xss.py::"
CANARIES = "service/access/test_canaries.py::test_no_word_of_a_person_leaves_but_in_answers_to_those_who_see_it"
ISSUE_6 = "comes with issue 6 (subscriptions and bulk export)"

PROVEN: dict[str, tuple[str, ...]] = {
    # --- token endpoint
    "T1": (FRONT + "test_t1_only_post", FRONT + "test_t1_only_forms", FRONT + "test_t1_size"),
    "T2": (FRONT + "test_t2_no_parameter_twice_and_none_in_the_url",),
    "T3": (FRONT + "test_t3_grant_type",),
    "T4": (FRONT + "test_t4_assertion_type",),
    "T5": (FRONT + "test_t5_one_mechanism",),
    "T6": (ASSERT + "test_t6_form", ASSERT + "test_t6_invalid_utf8"),
    "T7": (ASSERT + "test_t7_small_keys_are_refused_even_where_they_signed", FORGED),
    "T8": (TROWS + "test_t8_typ_is_jwt",),
    "T9": (TROWS + "test_t9_kid_is_a_short_string",),
    "T10": (TROWS + "test_t10_nothing_in_the_header_brings_keys_or_rules",),
    "T11": (ASSERT + "test_t11_jku_must_be_the_registered_url_byte_for_byte",),
    "T12": (
        CLAIMS + "test_t12_iss_and_sub_are_the_client",
        FRONT + "test_t12_the_client_is_known_and_the_one_named",
    ),
    "T13": (
        FRONT + "test_t13_keys_behind_a_registered_url_and_never_behind_jku",
        FRONT + "test_t13_a_failed_fetch_is_401",
    ),
    "T14": (ASSERT + "test_t14_t15_exactly_one_fitting_key",),
    "T15": (
        ASSERT + "test_t14_t15_exactly_one_fitting_key",
        "service/auth/test_registration.py::test_t15_key_sets_that_are_refused",
    ),
    "T16": (ASSERT + "test_t16_rs384_and_es384_are_accepted", FORGED),
    "T17": (
        CLAIMS + "test_t17_audience_refused",
        FRONT + "test_t17_the_host_header_does_not_make_the_audience",
    ),
    "T18": (CLAIMS + "test_t18_exp_refused",),
    "T19": (CLAIMS + "test_t19_iat_and_nbf_refused", CLAIMS + "test_t19_null_is_not_absent"),
    "T20": (
        REPLAY + "test_t20_one_assertion_used_200_times_at_once_gives_one_token",
        "scenarios/test_token_replay.py::test_t20_parallel_replays_over_two_processes_make_one_token",
    ),
    "T21": (FRONT + "test_t21_scope_refused", FRONT + "test_t21_scope_granted"),
    "T22": (FRONT + "test_t22_a_suspended_client_gets_nothing_until_it_is_resumed",),
    "T23": (FRONT + "test_t23_success",),
    "T24": (REPLAY + "test_t24_a_client_from_one_source_is_limited_and_others_are_not",),
    "T25": (REPLAY + "test_t25_audit_of_success_and_failure",),
    # --- people and apps
    "B1": (LAUNCH + "test_b01_no_variant_of_a_redirect_uri_is_followed",),
    "B2": (LAUNCH + "test_b02_what_is_wrong_goes_back_to_the_app_without_a_code",),
    "B3": (TOKENS + "test_b03_pkce_is_required_with_s256",),
    "B4": (
        TOKENS + "test_b04_a_code_used_again_ends_what_came_of_it",
        "service/auth/test_app_races.py::test_b04_of_many_exchanges_at_once_one_succeeds",
    ),
    "B5": (TOKENS + "test_b05_wrong_code_client_or_redirect_gets_nothing",),
    "B6": (TOKENS + "test_b06_the_id_token_says_who_signed_in",),
    "B7": (
        TOKENS + "test_b07_a_refresh_token_is_good_once",
        "service/auth/test_app_races.py::test_b07_of_many_refreshes_at_once_one_succeeds",
    ),
    "B8": (LAUNCH + "test_b08_the_person_takes_scopes_away",),
    "B9": (LAUNCH + "test_b09_an_ended_assignment_ends_access_at_the_next_call",),
    "B10": (LAUNCH + "test_b10_headers_and_form_of_the_screen",),
    "B11": (
        "service/web/test_signin.py::test_b11_fixation",
        "service/web/test_signin.py::test_b11_cookies_over_https",
        "service/auth/test_login.py::test_b11_idle_and_absolute_ends",
    ),
    "B12": ("service/web/test_signin.py::test_b12_two_organizations_are_a_choice",),
    # --- leak channels
    "L1": (ORACLE, "service/interactions/test_read.py::test_foreign_is_absent"),
    "L2": (ORACLE, "service/interactions/test_history.py::test_a_label_that_is_added_hides_former_versions_too"),
    "L3": ("service/interactions/test_history.py::test_histories_hold_what_reads_show_and_nothing_foreign", SUMS),
    "L4": ("service/interactions/test_read.py::test_a_foreign_deletion_is_absent_and_ours_is_gone", ORACLE),
    "L5": (LEAK + "test_l05_l06_a_hundred_foreign_resources_change_no_total", WORLDS),
    "L6": (LEAK + "test_l05_l06_a_hundred_foreign_resources_change_no_total", SUMS),
    "L7": (
        "service/interactions/test_links.py::test_a_link_is_bound",
        "service/interactions/test_search_results.py::test_a_foreign_page_link_is_refused",
    ),
    "L8": (
        VIEWS + "test_l08_l12_l16_l17_a_view_is_searched_by_id_only",
        LINKS + "test_sorting_by_a_hidden_reference_is_sorting_by_none",
    ),
    "L9": (
        VIEWS + "test_l09_l10_l11_nothing_is_asked_through_a_view",
        LINKS + "test_an_end_that_is_hidden_matches_nothing",
    ),
    "L10": (LINKS + "test_has_sees_no_hidden_source", CHAINS + "test_nothing_foreign_is_seen_through_a_chain"),
    "L11": (LINKS + "test_a_hidden_middle_breaks_the_chain_both_ways",),
    # _content, _text, _in are not served; composites, _filter and _list are, and see what the caller sees.
    "L12": (ORACLE, CHAINS + "test_lists_hold_what_may_be_seen", WORLDS),
    "L13": (
        "service/store/test_find_includes.py::test_what_the_caller_may_see_and_nothing_else",
        VIEWS + "test_l13_l22_includes_do_not_follow_what_a_view_hides",
    ),
    # A display that an author wrote beside a reference is the author's text: it goes with the resource that holds it.
    "L14": (
        LEAK + "test_l14_what_is_contained_goes_with_its_container",
        "service/access/test_labels.py::test_what_is_contained_labels_the_whole",
    ),
    "L15": (VIEWS + "test_l13_l15_a_view_is_the_same_wherever_it_leaves",),
    "L16": (CHAINS + "test_labels_are_searched_by_operators_alone", ORACLE),
    "L17": (VIEWS + "test_l08_l12_l16_l17_a_view_is_searched_by_id_only",),
    "L18": (VIEWS + "test_l18_what_is_hidden_changes_without_a_trace",),
    "L19": (VIEWS + "test_l19_l20_a_view_is_built_of_what_the_table_names",),
    "L20": (VIEWS + "test_l19_l20_a_view_is_built_of_what_the_table_names",),
    "L22": (
        LEAK + "test_l22_lists_and_groups_name_nobody_foreign",
        "service/interactions/test_audit_events.py::test_who_sees_what",
    ),
    "L23": (
        "service/access/test_label_rules.py::test_l23_what_refers_to_a_facility_bears_its_label",
        "service/access/test_label_rules.py::test_l23_an_encounter_at_such_a_facility_is_hidden_from_others",
    ),
    # Codes anywhere in a resource label it; free text is not read, and its author may label it.
    "L24": (
        "service/access/test_label_rules.py::test_a_code_hides_as_a_label_does",
        "fhir_profiles/test_sensitive_codes.py::test_anywhere_in_the_resource",
    ),
    "L25": (
        "service/interactions/test_create.py::test_conditional_create_sees_only_what_the_caller_sees",
        VIEWS + "test_l25_l26_l27_no_condition_finds_a_view",
    ),
    "L26": ("service/interactions/test_conditional.py::test_only_what_the_caller_sees_is_meant",),
    "L27": ("service/bundles/test_transaction.py::test_conditional_references", ORACLE),
    "L28": (
        LEAK + "test_l28_l29_preconditions_come_after_visibility",
        "service/interactions/test_update.py::test_ids_of_patients_data_are_the_services_own",
    ),
    "L29": (LEAK + "test_l28_l29_preconditions_come_after_visibility",),
    "L30": (VIEWS + "test_l30_l31_a_view_is_not_written",),
    "L31": (VIEWS + "test_l30_l31_a_view_is_not_written",),
    "L32": (
        LEAK + "test_l32_one_foreign_entry_of_many_is_told_as_an_absent_one",
        "service/bundles/test_transaction.py::test_foreign_and_absent_are_refused_alike",
    ),
    "L33": (
        "service/bundles/test_batch.py::test_an_entry_answers_as_the_request_alone",
        "service/bundles/test_edge.py::test_a_bad_entry_is_refused_alone",
    ),
    "L34": ("service/interactions/test_create.py::test_references_to_foreign_and_to_absent_are_the_same",),
    "L35": (
        "service/interactions/test_search.py::test_foreign_and_absent_searches_are_the_same",
        "service/interactions/test_search_types.py::test_a_foreign_patient_answers_like_an_absent_one",
    ),
    "L36": (
        "service/operations/test_everything.py::test_a_foreign_resource_that_names_the_patient_stays_hidden",
        "service/operations/test_everything.py::test_scopes_narrow_the_types",
    ),
    "L38": ("service/operations/test_match.py::test_a_foreign_patient_is_no_candidate_and_changes_nothing",),
    "L39": (CANARIES, "service/operations/test_validate.py::test_foreign_is_absent_in_every_mode"),
    "L40": (
        SUBSCRIBING + "test_l40_a_filter_on_a_foreign_member_is_taken_as_one_on_nobody",
        "service/notify/test_subscribed.py::test_only_its_client_changes_it_and_foreign_ones_do_not_see_it",
    ),
    "L41": (
        "service/notify/test_deciding.py::test_lost_before_it_is_numbered",
        "service/notify/test_deciding.py::test_lost_after_a_failed_attempt_the_number_goes_out_empty",
        "service/notify/test_dispatching.py::test_a_suppressed_event_takes_no_number_and_is_the_auditors_alone",
    ),
    "L42": (
        "service/notify/test_deciding.py::test_each_version_by_its_own_labels",
        "service/notify/test_deciding.py::test_lost_before_it_is_numbered",
    ),
    "L43": (
        "service/api/smart/test_introspection.py::test_an_inactive_or_foreign_token_is_only_inactive",
        "service/api/test_clients.py::test_for_others_there_is_nothing_here",
    ),
    "L44": (
        "service/interactions/test_audit_events.py::test_who_sees_what",
        "service/interactions/test_provenance.py::test_foreign_is_absent",
    ),
    "L45": (
        LEAK + "test_l45_two_callers_of_one_url_get_each_their_own",
        "service/store/test_row_security.py::test_two_callers_interleaved_on_one_pool",
    ),
    "L46": (
        LEAK + "test_l46_what_cannot_be_decided_is_not_shown",
        LEAK + "test_l46_without_rows_of_a_panel_nothing_is_shown",
    ),
    "L47": (
        "service/access/test_granting.py::test_l47_g03_an_assignment_that_ended_is_ended_for_the_next_request",
        "service/interactions/test_consent_access.py::test_a_revocation_acts_on_the_next_request",
        "service/web/test_live.py::test_a_revoked_client_hears_no_more",
    ),
    "L48": (TRACE + "test_l48_a_merge_moves_no_right",),
    "L49": ("service/access/test_granting.py::test_l49_the_old_owner_of_a_task_is_out_at_once",),
    "L50": (
        TRACE + "test_l50_a_person_of_two_organizations_acts_for_one",
        "service/access/test_scoping.py::test_the_launch_patient_opens_nothing_by_itself",
    ),
    "L51": (TRACE + "test_l51_foreign_costs_as_many_statements_as_absent",),
    "L52": (
        TRACE + "test_l52_no_number_tells_how_much_others_do",
        "service/interactions/test_audit_events.py::test_by_id",
    ),
    "L53": (
        "service/web/test_inbox.py::test_nothing_is_cached_framed_or_loaded_from_elsewhere",
        "service/web/test_inbox.py::test_addresses_hold_ids_only",
        "service/web/test_sees.py::test_the_numbers_are_those_of_the_api",
        "service/web/test_disclosures.py::test_of_another_member_and_of_nobody_there_is_nothing",
    ),
    "L54": (
        CANARIES,
        "service/interactions/test_links.py::test_links_of_a_post_search_show_no_value",
        "service/test_log_events.py::test_a_value_that_is_no_identifier_is_refused_and_never_written",
    ),
    "L55": (TRACE + "test_l55_a_hospital_learns_nothing_by_posting",),
    "L56": (TRACE + "test_l56_what_a_party_adds_is_its_own_and_says_so",),
    "L57": (TRACE + "test_l57_what_the_service_says_of_itself_holds_no_data",),
    # A backup is one file of mode 0600 and is not encrypted by us; docs/operator.md says so.
    "L58": (TRACE + "test_l58_what_waits_in_the_store_holds_no_bodies",),
    # --- attacks
    "A1": (
        WORLDS,
        "service/access/test_route_inventory.py::test_g08_fhir_routes",
        "architecture/test_secrets.py::test_a01_no_secret_is_committed",
    ),
    "A2": (
        FORGED,
        ASSERT + "test_there_are_at_least_forty_forged_tokens",
        "service/auth/test_resource_server.py::test_forged_tokens_are_refused",
        "architecture/test_secrets.py::test_a02_a27_what_opens_attacks_is_called_nowhere",
    ),
    "A3": (
        "service/auth/test_key_sets.py::test_rotating_every_two_seconds_refuses_nothing_valid_and_keeps_nothing_old",
        "service/auth/test_key_sets.py::test_cache_control",
    ),
    # XML is served, by a reader without DOCTYPE, entities and network.
    "A4": (
        "service/api/test_xml.py::test_hostile_xml_is_400",
        "fhir_profiles/test_xml_reader.py::test_hostile_documents_are_refused",
    ),
    "A5": (
        "service/test_egress.py::test_the_list_matches_host_and_port_whole",
        "service/test_egress.py::test_url_is_refused",
        "service/test_egress.py::test_redirects_are_answers",
    ),
    "A6": (
        "service/test_egress.py::test_url_is_refused",
        "service/test_egress.py::test_rebinding_meets_the_check_at_each_connection_and_the_checked_address_is_used",
    ),
    "A7": (
        SUBSCRIBING + "test_endpoints_of_rest_hook",
        SUBSCRIBING + "test_only_endpoints_of_the_client",
        SUBSCRIBING + "test_the_most_of_one_client",
        "service/notify/test_dispatching.py::test_a_subscription_shakes_hands_and_is_told",
    ),
    "A8": (ATTACK + "test_a08_no_path_leaves_its_folder",),
    "A9": (
        "service/api/test_json_reader.py::test_limits_at_the_edge",
        "service/api/test_json_reader.py::test_refused",
        "service/api/test_json_reader.py::test_fuzz_answers_a_value_or_a_fhir_error",
        "service/api/test_fuzz.py::test_hostile_requests_get_an_outcome_and_nothing_breaks",
    ),
    "A10": (ATTACK + "test_a10_no_character_reaches_the_database_that_it_refuses",),
    "A11": (ATTACK + "test_a11_a12_adverse_text_costs_no_time",),
    "A12": (ATTACK + "test_a11_a12_adverse_text_costs_no_time",),
    "A13": (
        "service/interactions/test_history.py::test_too_many_versions_to_look_at_are_refused",
        "scenarios/operations/test_overload.py::test_one_client_that_floods_is_held_back_and_nobody_else",
    ),
    "A14": (
        "service/search/test_query.py::test_limits_at_their_edge",
        "docs/test_limits.py::test_the_number_is_that_of_the_code",
        "service/store/test_find_stable.py::test_a_statement_that_takes_too_long_is_503_and_the_connection_goes_on",
    ),
    "A15": ("service/bundles/test_edge.py::test_501_entries_are_too_many",),
    "A16": (
        ATTACK + "test_a16_no_request_body_is_unpacked",
        "service/api/test_xml.py::test_a_bomb_is_never_unpacked_whole",
    ),
    "A17": (
        ATTACK + "test_a17_the_server_waits_for_nobody_long",
        "service/api/test_admission.py::test_who_waits_for_its_client_has_no_place",
    ),
    "A18": (
        XSS + "test_a18_a19_no_narrative_is_active",
        XSS + "test_a18_a19_what_the_api_stored_is_text_on_every_page",
        XSS + "test_a18_what_a_hospital_sent_is_text",
        XSS + "test_a18_no_answer_of_the_api_is_a_page",
        XSS + "test_a18_a19_chromium_runs_and_loads_nothing",
    ),
    "A19": (
        XSS + "test_a18_a19_no_narrative_is_active",
        XSS + "test_a18_a19_what_the_api_stored_is_text_on_every_page",
    ),
    "A20": (
        "service/operations/test_disclosures.py::test_a20_no_cell_is_a_formula",
        "mappers/plan_files/test_reports.py::test_no_cell_of_the_row_errors_starts_a_formula",
    ),
    "A21": (ATTACK + "test_a21_values_and_names_are_never_sql",),
    "A22": (
        "mappers/hl7v2/test_message.py::test_mutated_messages_never_raise",
        "mappers/hl7v2/test_message.py::test_22_escapes_are_resolved_after_splitting",
        "mappers/hl7v2/test_ack.py::test_46_nothing_breaks_out_of_an_echoed_field",
    ),
    # MLLP without TLS listens on loopback by default; deploy/haproxy ends mutual TLS in front of it.
    "A23": (
        "adt_listener/test_server.py::test_who_does_not_speak_mllp_is_closed",
        "service/interactions/test_receive_hl7v2.py::test_an_unregistered_sender_is_kept_without_a_job",
        "architecture/test_secrets.py::test_a23_plain_mllp_stays_on_this_machine",
    ),
    "A24": ("service/access/test_granting.py::test_a24_what_the_server_owns_never_follows_a_client",),
    "A25": (
        ATTACK + "test_a25_no_header_changes_a_link",
        "service/api/test_metadata.py::test_urls_are_the_public_ones_whatever_a_proxy_says",
    ),
    "A26": (ATTACK + "test_a26_nothing_that_is_sent_makes_a_log_line", CANARIES),
    "A27": ("architecture/test_secrets.py::test_a02_a27_what_opens_attacks_is_called_nowhere",),
    "A28": (
        "service/api/test_cors.py::test_only_named_origins_where_some_are_named",
        "service/api/test_cors_apps.py::test_an_app_reaches_the_token_endpoint_from_its_own_origin",
        "service/web/test_login.py::test_forms_from_elsewhere",
        "service/web/test_acknowledge.py::test_without_the_token_nothing_happens",
    ),
    "A29": (ATTACK + "test_a29_a_suffix_makes_nothing_a_file",),
    "A30": (
        "service/web/test_signin.py::test_a30_who_is_not_known_gets_one_answer",
        "service/web/test_signin.py::test_a30_too_many_tries",
    ),
    "A31": (ATTACK + "test_a31_no_way_of_writing_a_path_is_less_checked",),
    "A32": ("architecture/test_secrets.py::test_a32_every_package_is_pinned_by_its_hash",),
    "A34": (ATTACK + "test_a34_no_key_of_a_client_brings_anothers_answer",),
    "A35": (
        ATTACK + "test_a35_the_clock_of_the_service_decides",
        "service/store/test_commit.py::test_versions_are_contiguous_and_vids_increase_even_if_the_clock_runs_back",
        "service/auth/test_bearer.py::test_expiry_has_no_leeway",
    ),
}

NOT_SERVED = {
    "L21": "Binary is not served, and no attachment is fetched or signed: data stays in its resource",
    "L37": f"$export {ISSUE_6}",
    "A33": f"$export {ISSUE_6}",
}
"""Row -> why; each is checked to be absent indeed."""

ABSENT = {
    "L21": ("/Binary/x", "/Patient/a/Binary", "/DocumentReference/$docref"),
    "L37": ("/$export", "/Patient/$export", "/Group/x/$export", "/$bulk-status/x"),
    "A33": ("/$export?_outputFormat=ndjson", "/$export-poll-status"),
}
"""Row -> paths below the FHIR base that must answer 404 or 405."""
