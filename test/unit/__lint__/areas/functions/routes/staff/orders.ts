import "../customer/orders.ts"; // refused: routes of staff may not import those of customer
import "./hosts.ts";
import "#functions/views.ts";
